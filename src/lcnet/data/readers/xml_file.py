"""Reads XML files, without what could expand or fetch something."""

from pathlib import Path
from xml.etree import ElementTree

from lcnet.data.readers.checks import unreadable
from lcnet.errors import DataError


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Builds a tree, but refuses a DOCTYPE, since its entities could expand without bound."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError(
            f"expected XML without DOCTYPE and ENTITY, got DOCTYPE {name!r}. Remove it."
        )


def read_xml(path: Path, where: str, source: str = "") -> ElementTree.Element:
    """The root element of an XML file; `source` is where the file is listed.

    Raises DataError if there is no such file, or if it is no XML or has a DOCTYPE.
    """
    listed = f" (listed in {source})" if source else ""
    try:
        return parse_xml(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{where}: no such file{listed}. Add it or drop the row.") from None
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise unreadable(where, "XML", error) from None


def parse_xml(text: bytes) -> ElementTree.Element:
    """The root element. Raises DataError for a DOCTYPE, and ElementTree's and others' errors."""
    return ElementTree.fromstring(text, ElementTree.XMLParser(target=_WithoutDoctype()))
