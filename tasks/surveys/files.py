"""Whether the files and the content that travelled are what the destination serves now."""

from tasks.estate.sites import Content, Install
from tasks.probes.websites import Prober


def files_arrived(
    prober: Prober, destination: Install, source: Install | None, now: Content, expected: Content
) -> tuple[bool | None, str]:
    """Return whether the destination serves the expected files (None: not known), and what was seen.

    Compares the bytes of files that the source's front page named at the call: they lie on the disk whatever the database
    says, so a plugin that is active on one side only makes no difference. A file that the source has changed since then may
    be either. Without such files, equal versions in the pages count; different ones do not, they depend on the database.
    """
    primary = destination.primary_domain
    if primary is None or not expected.assets:
        same = expected.files_marker is not None and now.files_marker == expected.files_marker
        return (
            True if same else None
        ), f"no file to compare; assets {now.files_marker}, expected {expected.files_marker}"
    known = 0
    wrong: list[str] = []
    for path, digest in expected.assets.items():
        there = now.assets.get(path) or prober.asset(primary, path)
        if there is None:
            continue
        known += 1
        if there == digest or (
            source is not None and source.primary_domain and there == prober.asset(source.primary_domain, path)
        ):
            continue
        wrong.append(f"{path} {'differs' if there else 'is missing'}")
    if wrong:
        return False, "; ".join(wrong)
    whole = known == len(expected.assets)
    return (True if known else None), f"{known} of {len(expected.assets)} files compared" + (
        "" if whole else ", the others could not be read"
    )
