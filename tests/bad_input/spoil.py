"""Ways to spoil a file, of any kind and of each kind: a seeded choice among them."""

import csv
import io
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

Spoil = Callable[[Path, random.Random], str]
"""Changes a file and says how."""

NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 10**12, 10**40, 1e308, float("nan"), float("inf"), 0.5, "",
    "x" * 20_000, "<script>alert(1)</script>", "a\nb", "\x1b[31m", "../elsewhere", "\x00",
    "nan", "\ud800", [], {}, [[]], [1, 2, 3], {"a": {"b": 1}}, ["red", "red"], "🙂" * 50,
)  # fmt: skip
"""Values that a field of a description may be given."""


# Any file


def empty(file: Path, rng: random.Random) -> str:
    file.write_bytes(b"")
    return "no bytes"


def cut(file: Path, rng: random.Random) -> str:
    content = file.read_bytes()
    length = rng.randrange(max(1, len(content)))
    file.write_bytes(content[:length])
    return f"cut to {length} bytes"


def flip(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes() or b"\0")
    times = rng.choice([1, 3, 30])
    for _ in range(times):
        content[rng.randrange(len(content))] = rng.randrange(256)
    file.write_bytes(bytes(content))
    return f"{times} other bytes"


def flip_head(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes() or b"\0")
    for _ in range(3):
        content[rng.randrange(min(200, len(content)))] = rng.randrange(256)
    file.write_bytes(bytes(content))
    return "3 other bytes at its start"


def noise(file: Path, rng: random.Random) -> str:
    file.write_bytes(rng.randbytes(rng.choice([1, 100, 100_000])))
    return "random bytes"


def zeros(file: Path, rng: random.Random) -> str:
    file.write_bytes(bytes(1000))
    return "NUL bytes"


def appended(file: Path, rng: random.Random) -> str:
    file.write_bytes(file.read_bytes() + rng.randbytes(50))
    return "bytes behind its end"


def middle_gone(file: Path, rng: random.Random) -> str:
    content = file.read_bytes()
    start = rng.randrange(max(1, len(content)))
    file.write_bytes(content[:start] + content[start + rng.choice([1, 10, 1000]) :])
    return "bytes gone from its middle"


def gone(file: Path, rng: random.Random) -> str:
    file.unlink()
    return "not there"


def folder(file: Path, rng: random.Random) -> str:
    file.unlink()
    file.mkdir()
    return "a folder"


def loop(file: Path, rng: random.Random) -> str:
    file.unlink()
    file.symlink_to(file.name)
    return "a link to itself"


def picture_instead(file: Path, rng: random.Random) -> str:
    file.write_bytes(_encoded(Image.new("RGB", (5, 5)), "PNG"))
    return "a picture under its name"


def text_instead(file: Path, rng: random.Random) -> str:
    file.write_text("This is no such file.\n")
    return "text under its name"


ANY: tuple[Spoil, ...] = (
    empty, cut, cut, flip, flip, flip_head, noise, zeros, appended, middle_gone, gone, folder, loop,
    picture_instead, text_instead,
)  # fmt: skip


# JSON and YAML


def _spoil_value(content: Any, rng: random.Random) -> tuple[Any, str]:
    """The content with one of its values changed, and where."""
    places: list[tuple[Any, Any, str]] = []

    def walk(value: Any, path: str) -> None:
        pairs = (
            list(value.items())
            if isinstance(value, dict)
            else list(enumerate(value[:5]))
            if isinstance(value, list)
            else []
        )
        for key, below in pairs:
            places.append((value, key, f"{path}.{key}"))
            walk(below, f"{path}.{key}")

    walk(content, "")
    if not places:
        return rng.choice(NASTY), "all of it"
    inside, key, path = rng.choice(places)
    way = rng.choice(["other", "other", "other", "gone", "twice", "deep"])
    if way == "gone":
        del inside[key]
    elif way == "twice" and isinstance(inside, list):
        inside.append(inside[key])
    elif way == "twice":
        inside[f"{key}x"] = inside[key]
    elif way == "deep":
        value: Any = 1
        for _ in range(300):
            value = [value]
        inside[key] = value
    else:
        inside[key] = rng.choice(NASTY)
        way = repr(inside[key])[:40]
    return content, f"{path[1:]} {way}"


def json_value(file: Path, rng: random.Random) -> str:
    content, how = _spoil_value(json.loads(file.read_text()), rng)
    file.write_text(json.dumps(content))
    return how


def json_deep(file: Path, rng: random.Random) -> str:
    file.write_text("[" * 100_000)
    return "100,000 brackets"


def json_long_number(file: Path, rng: random.Random) -> str:
    file.write_text('{"format": ' + "9" * 10_000 + "}")
    return "a number of 10,000 digits"


def yaml_value(file: Path, rng: random.Random) -> str:
    content, how = _spoil_value(yaml.safe_load(file.read_text()), rng)
    if how.startswith("train.epochs "):  # a large number is no fault and takes its time
        content["train"]["epochs"] = 0
    file.write_text(yaml.safe_dump(content, allow_unicode=False))
    return how


def yaml_bomb(file: Path, rng: random.Random) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file.write_text("\n".join(lines) + "\nmodel: *a8\n")
    return "aliases that stand for 10^9 values"


def yaml_deep(file: Path, rng: random.Random) -> str:
    file.write_text("model: " + "[" * 20_000)
    return "20,000 brackets"


def yaml_tag(file: Path, rng: random.Random) -> str:
    file.write_text("model: !!python/object/apply:os.system ['touch ran']\n")
    return "a tag that names code"


def yaml_itself(file: Path, rng: random.Random) -> str:
    file.write_text("model: &a {width: *a}\n")
    return "a value that holds itself"


JSON: tuple[Spoil, ...] = (*[json_value] * 8, json_deep, json_long_number)
YAML: tuple[Spoil, ...] = (*[yaml_value] * 10, yaml_bomb, yaml_deep, yaml_tag, yaml_itself)


# Tables and lists


def table_cell(file: Path, rng: random.Random) -> str:
    rows = list(csv.reader(file.read_text().splitlines()))
    row = rng.choice(rows)
    place = rng.randrange(len(row))
    row[place] = rng.choice(
        ["", "2", "yes", "1e9", "nan", "x" * 100_000, "<b>x</b>", "a,b", 'a"b', "a\nb", "../..",
         "/etc/passwd", "/dev/zero", "🙂", "images/train0.png", ".", "a\x00b"]
    )  # fmt: skip
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    file.write_text(text.getvalue())
    return f"a cell {row[place][:20]!r}"


def table_column_twice(file: Path, rng: random.Random) -> str:
    lines = file.read_text().splitlines()
    file.write_text("\n".join(f"{line},{line.rpartition(',')[2]}" for line in lines))
    return "a column twice"


def table_short_header(file: Path, rng: random.Random) -> str:
    header, _, rest = file.read_text().partition("\n")
    file.write_text(f"{header.partition(',')[0]}\n{rest}")
    return "a header of one column"


def table_latin(file: Path, rng: random.Random) -> str:
    file.write_bytes(file.read_bytes() + "Tür.png,1,0,0\n".encode("latin-1"))
    return "Latin-1"


def table_utf16(file: Path, rng: random.Random) -> str:
    file.write_bytes(file.read_text().encode("utf-16"))
    return "UTF-16"


def table_mark(file: Path, rng: random.Random) -> str:
    file.write_bytes(b"\xef\xbb\xbf\xef\xbb\xbf" + file.read_bytes())
    return "two byte order marks"


def table_quote(file: Path, rng: random.Random) -> str:
    text = file.read_text()
    place = rng.randrange(len(text))
    file.write_text(text[:place] + '"' + text[place:])
    return "a quote that nothing closes"


def table_commas(file: Path, rng: random.Random) -> str:
    file.write_text(file.read_text() + "," * 50 + "\n")
    return "a row of commas"


def table_wide(file: Path, rng: random.Random) -> str:
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line + ",1" * 3 for line in lines))
    return "columns named 1"


def table_twice(file: Path, rng: random.Random) -> str:
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, rng.choice(lines)]))
    return "a row twice"


def table_other_separator(file: Path, rng: random.Random) -> str:
    file.write_text(file.read_text().replace(",", rng.choice(";\t|")))
    return "another separator"


TABLE: tuple[Spoil, ...] = (
    *[table_cell] * 4, table_column_twice, table_short_header, table_latin, table_utf16,
    table_mark, table_quote, table_commas, table_wide, table_twice, table_other_separator,
)  # fmt: skip


def xml_part(file: Path, rng: random.Random) -> str:
    text = file.read_text()
    old, new = rng.choice(
        [
            ("<name>red", "<name>"), ("<name>", "<name><b/>"), ("</object>", ""),
            ("<difficult>0", "<difficult>9"), ("<annotation>", "<!DOCTYPE a><annotation>"),
            (".jpg", "/../../x"), ("red", "r\x01d"), ("red", "&#xD800;"), ("red", "&lol;"),
            ("<annotation>", '<?xml version="1.0" encoding="x"?><annotation>'),
            ("<annotation>", "<annotation>" * 5000),
        ]
    )  # fmt: skip
    file.write_text(text.replace(old, new))
    return f"{old} as {new[:30]!r}"


# Pictures


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stored = io.BytesIO()
    image.save(stored, form, **options)
    return stored.getvalue()


def bomb_png(side: int) -> bytes:
    """A PNG whose header says side x side, with hardly any data."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    small = _encoded(Image.new("RGB", (1, 1)), "PNG")
    import zlib

    chunk = b"IHDR" + head
    return (
        small[:8]
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + small[33:]
    )


def picture_kind(file: Path, rng: random.Random) -> str:
    grey = np.arange(24 * 24).reshape(24, 24)
    kinds: list[tuple[str, Callable[[], bytes]]] = [
        ("1 x 1", lambda: _encoded(Image.new("RGB", (1, 1)), "PNG")),
        ("1 x 4000", lambda: _encoded(Image.new("RGB", (1, 4000)), "PNG")),
        ("30,000 x 30,000", lambda: bomb_png(30_000)),
        ("60,000 x 60,000", lambda: bomb_png(60_000)),
        ("10,000 x 10,000 said", lambda: bomb_png(10_000)),
        ("16-bit", lambda: _encoded(Image.fromarray((grey * 100).astype(np.uint16)), "PNG")),
        ("32-bit", lambda: _encoded(Image.fromarray(grey.astype(np.int32)), "TIFF")),
        ("float", lambda: _encoded(Image.fromarray(grey.astype(np.float32)), "TIFF")),
        ("NaN", lambda: _encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF")),
        ("CMYK", lambda: _encoded(Image.new("CMYK", (24, 24)), "JPEG")),
        ("palette", lambda: _encoded(Image.new("P", (24, 24)), "PNG")),
        ("alpha", lambda: _encoded(Image.new("RGBA", (24, 24)), "PNG")),
        ("grey and alpha", lambda: _encoded(Image.new("LA", (24, 24)), "PNG")),
        ("one bit", lambda: _encoded(Image.new("1", (24, 24)), "PNG")),
        ("a GIF of frames", lambda: _encoded(
            Image.new("P", (24, 24)), "GIF", save_all=True,
            append_images=[Image.new("P", (24, 24), 1)] * 3)),
        ("EPS", lambda: _encoded(Image.new("RGB", (24, 24)), "EPS")),
        ("PDF", lambda: _encoded(Image.new("RGB", (24, 24)), "PDF")),
        ("ICO", lambda: _encoded(Image.new("RGB", (24, 24)), "ICO")),
        ("half a JPEG", lambda: _encoded(Image.effect_noise((99, 99), 50), "JPEG")[:1500]),
        ("HTML", lambda: b"<html><script>alert(1)</script></html>"),
        ("SVG", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ]  # fmt: skip
    name, make = rng.choice(kinds)
    file.write_bytes(make())
    return name


# Tensors


def pickle_value(file: Path, rng: random.Random) -> str:
    """One entry of a torch file: another shape, type or number, gone, or no tensor."""
    content = torch.load(file, weights_only=False)
    inside = content
    for _ in range(4):
        below = [key for key, value in inside.items() if isinstance(value, dict) and value]
        if below and rng.random() < 0.8:
            inside = inside[rng.choice(below)]
    key = rng.choice(list(inside))
    value = inside[key]
    way = rng.choice(["gone", "other", "shape", "type", "nan", "huge", "nothing"])
    if way == "gone":
        del inside[key]
    elif not isinstance(value, torch.Tensor) or way == "other":
        inside[key] = rng.choice([one for one in NASTY if one != "\ud800"])
    elif way == "shape":
        inside[key] = torch.zeros([rng.choice([0, 1, 3, 7]) for _ in range(rng.randrange(5))])
    elif way == "type":
        inside[key] = value.to(rng.choice([torch.int8, torch.bool, torch.complex64, torch.float16]))
    elif way == "nan":
        inside[key] = torch.full_like(value.float(), float("nan"))
    elif way == "huge":  # few bytes that say they are many
        inside[key] = torch.zeros(1).expand([10 ** rng.choice([4, 6, 9])] * max(1, value.ndim))
    else:
        inside[key] = value.to("meta") if rng.random() < 0.5 else value.to_sparse()
    torch.save(content, file)
    return f"{key!r} {way}"


def tensors_value(file: Path, rng: random.Random) -> str:
    """A safetensors file whose header says something else of a tensor."""
    content = file.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    header, how = _spoil_value(header, rng)
    text = json.dumps(header).encode()
    said = rng.choice([len(text), len(text), len(text), 2**40, 2**63, 0])
    file.write_bytes(struct.pack("<Q", said) + text + content[8 + size :])
    return how


def tensors_renamed(file: Path, rng: random.Random) -> str:
    from safetensors.torch import load_file, save_file

    weights = load_file(file)
    key = rng.choice(list(weights))
    way = rng.choice(["gone", "other shape", "other type", "one more"])
    if way == "gone":
        del weights[key]
    elif way == "other shape":
        weights[key] = torch.zeros(3, 1, 2)
    elif way == "other type":
        weights[key] = weights[key].to(torch.int8)
    else:
        weights["more"] = torch.zeros(1)
    save_file(weights, file)
    return f"{key} {way}"


def array_value(file: Path, rng: random.Random) -> str:
    arrays: list[tuple[str, Any]] = [
        ("strings", np.array([["a"] * 3] * 3)),
        ("complex", np.zeros((3, 3), complex)),
        ("no rows", np.zeros((0, 3))),
        ("a number", np.array(1.0)),
        ("NaN", np.full((3, 3), np.nan)),
        ("4 x 3", np.zeros((4, 3))),
        ("objects", np.array([[None] * 3] * 3, dtype=object)),
        ("times", np.zeros((3, 3), "datetime64[s]")),
        ("records", np.zeros((3, 3), [("a", "f4")])),
        ("booleans", np.ones((3, 3), bool)),
    ]
    name, value = rng.choice(arrays)
    with file.open("wb") as opened:
        np.save(opened, value, allow_pickle=True)
    return name


def array_header(file: Path, rng: random.Random) -> str:
    """A .npy file that says it is huge."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1000000000000), }"
    header += b" " * (118 - len(header)) + b"\n"
    file.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return "a header of 3 x 10^12 numbers"


def list_line(file: Path, rng: random.Random) -> str:
    line = rng.choice(["\x00", "/dev/zero", "/", "..", "x" * 5000, "nowhere.png", "\x1b[2J", "*"])
    file.write_text(f"{file.read_text()}{line}\n")
    return f"a line {line[:20]!r}"


SPECIAL: dict[str, tuple[Spoil, ...]] = {
    ".json": JSON,
    ".yaml": YAML,
    ".csv": TABLE,
    ".xml": (xml_part,),
    ".png": (picture_kind,),
    ".jpg": (picture_kind,),
    ".pth": (pickle_value,),
    ".bin": (pickle_value,),
    ".ckpt": (pickle_value,),
    ".safetensors": (tensors_value, tensors_renamed),
    ".npy": (array_value, array_header),
    ".txt": (list_line,),
}


def spoil(file: Path, rng: random.Random) -> str:
    """Change the file by one of the ways that suit it; what was done."""
    special = SPECIAL.get(file.suffix, ())
    ways = special if special and rng.random() < 0.65 else ANY
    return rng.choice(ways)(file, rng)
