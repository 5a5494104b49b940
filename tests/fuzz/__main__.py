"""`python -m tests.fuzz TARGET --seconds 600`: look for bytes on which a reader fails as none may.

With atheris, whose choice of bytes follows the lines that they reach; without it, by seeded changes
of valid files. It ends at the first fault, with its traceback and the bytes in crash-TARGET.
"""

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

SLOW = 10
"""Seconds of processor time that one file may take: a busy machine is no fault of a reader."""
MEGABYTES = 4096
"""Memory that the process may take."""


def changed(content: bytes, rng: random.Random) -> bytes:
    """The bytes with a few of them other, gone, doubled or moved."""
    made = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(made) + 1)
        length = min(len(made) - place, rng.choice([1, 1, 4, 64]))
        match rng.randrange(5):
            case 0:
                made[place : place + length] = rng.randbytes(length)
            case 1:
                del made[place : place + length]
            case 2:
                made[place:place] = made[place : place + length] * rng.choice([1, 2, 100])
            case 3:
                made[place:place] = rng.choice(
                    [
                        b"\0",
                        b"\xff",
                        b"-1",
                        b"1e999",
                        b"9" * 50,
                        b'"',
                        b"[",
                        b"{",
                        b"\n",
                        b"<",
                        b"&",
                    ]
                )
            case _:
                start = rng.randrange(len(made) + 1)
                made[place:place] = made[start : start + length]
    return bytes(made)


def too_slow(signal_number: int, frame: object) -> None:
    """Raise where the reader is, so that the traceback shows what takes the time."""
    raise TimeoutError(f"{SLOW} s of processor time for one case")


def by_changes(name: str, seconds: float) -> int:
    """The number of cases; ends the process at a fault."""
    from tests.fuzz.targets import TARGETS, seeds

    signal.signal(signal.SIGPROF, too_slow)
    rng, cases, starts = random.Random(name), 0, seeds(name)
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        content = changed(rng.choice(starts), rng)
        signal.setitimer(signal.ITIMER_PROF, SLOW)
        try:
            TARGETS[name](content)
        except BaseException:
            Path(f"crash-{name}").write_bytes(content)
            traceback.print_exc()
            sys.exit(f"{name}: a fault after {cases} cases, bytes in crash-{name}")
        cases += 1
    signal.setitimer(signal.ITIMER_PROF, 0)
    return cases


def by_atheris(name: str, seconds: float) -> None:
    """Fuzz with libFuzzer, which prints its figures and ends the process."""
    import atheris

    with atheris.instrument_imports(include=["lcnet"]):
        from tests.fuzz.targets import TARGETS, seeds
    corpus = Path(tempfile.mkdtemp(prefix="lcnet-corpus-"))
    for number, content in enumerate(seeds(name)):
        (corpus / str(number)).write_bytes(content)
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds:.0f}",
            f"-timeout={SLOW}",
            f"-rss_limit_mb={MEGABYTES}",
            f"-exact_artifact_path=crash-{name}",
            "-max_len=20000",
            "-print_final_stats=1",
            "-verbosity=0",
            str(corpus),
        ],
        TARGETS[name],
    )
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--plain", action="store_true", help="Without atheris.")
    given = parser.parse_args()
    if not given.plain:
        try:
            import atheris  # noqa: F401
        except ImportError:
            print("atheris is not installed: seeded changes")
        else:
            by_atheris(given.target, given.seconds)
            return
    started = time.monotonic()
    cases = by_changes(given.target, given.seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    seconds = time.monotonic() - started
    print(f"{given.target}: {cases:,} cases in {seconds:.0f} s, no fault, {peak:.1f} GB at most")


if __name__ == "__main__":
    main()
