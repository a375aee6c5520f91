"""The smallest valid file of each kind, which a viewer opens and shows empty. Made here, byte for byte."""

import struct
import zipfile
import zlib
from functools import cache
from io import BytesIO

DEFAULT = "image/png"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a ZIP archive can store; a real one would change the bytes
OFFICE = "application/vnd.openxmlformats-officedocument."
WORD, SHEET = f"{OFFICE}wordprocessingml.document", f"{OFFICE}spreadsheetml.sheet"
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/{}/2006/main"


@cache
def stubs() -> dict[str, bytes]:
    """Return the files by MIME type. Every other type gets `DEFAULT`, a 1x1 PNG."""
    return {
        "image/png": _png(),
        "image/jpeg": _jpeg(),
        "image/gif": _gif(),
        "image/svg+xml": b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>',
        "application/pdf": _pdf(),
        "application/zip": b"PK\x05\x06" + bytes(18),  # an archive of no files is its end record
        "application/json": b"{}",
        "application/xml": b"<empty/>",
        "text/plain": b"[removed for staging]\n",
        "text/csv": b"removed\n",
        "text/html": b"<!doctype html><title>removed</title>",
        WORD: _word(),
        SHEET: _sheet(),
    }


def stub_for(mime: str) -> bytes:
    """Return the file for a MIME type as applications store it: any case, parameters after a semicolon."""
    return stubs().get(mime.partition(";")[0].strip(" ").lower(), stubs()[DEFAULT])


def _png() -> bytes:
    """Return one transparent pixel. The stream is stored, not deflated: every zlib then writes the same bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixel = bytes(5)  # filter type, then red, green, blue, alpha
    stored = b"\x78\x01\x01" + struct.pack("<HH", 5, 0xFFFF - 5) + pixel + struct.pack(">I", zlib.adler32(pixel))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stored) + chunk(b"IEND", b"")


def _jpeg() -> bytes:
    """Return one grey pixel: two Huffman tables of one code each, "difference 0" and "end of block" (ITU-T T.81)."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    one_code = b"\x01" + bytes(15) + b"\x00"  # one code of length 1, for symbol 0
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            segment(0xDB, b"\x00" + b"\x01" * 64),
            segment(0xC0, b"\x08\x00\x01\x00\x01\x01\x01\x11\x00"),
            segment(0xC4, b"\x00" + one_code),
            segment(0xC4, b"\x10" + one_code),
            segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            b"\x3f\xff\xd9",  # the two codes, 0 and 0, filled up with ones
        )
    )


def _gif() -> bytes:
    """Return one white pixel: palette of two, then the LZW codes clear, 0, end."""
    screen = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\xff\xff\xff\x00\x00\x00"
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + screen + image + b"\x3b"


def _pdf() -> bytes:
    """Return one empty page, with a cross-reference table whose offsets are right."""
    bodies = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<<>>>>",
    )
    file, table = b"%PDF-1.4\n", b"0000000000 65535 f \n"
    for number, body in enumerate(bodies, start=1):
        table += b"%010d 00000 n \n" % len(file)
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    end = b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(file)
    return file + b"xref\n0 4\n" + table + end


def _zipped(files: dict[str, str]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 0  # or the bytes would differ between operating systems
            archive.writestr(entry, text)
    return buffer.getvalue()


def _package(folder: str, main: tuple[str, str, str], others: dict[str, tuple[str, str]], relations: str = "") -> bytes:
    """Return an Office Open XML package (ECMA-376 part 2). A part is its name, its content type and its text."""
    parts = {main[0]: main[1:], **others}
    types = "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, (kind, _) in parts.items())
    files = {
        "[Content_Types].xml": f'{XML}<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{types}</Types>',
        "_rels/.rels": _relations("officeDocument", main[0]),
        **{name: XML + text for name, (_, text) in parts.items()},
    }
    if relations:
        files[f"{folder}/_rels/{main[0].removeprefix(folder + '/')}.rels"] = relations
    return _zipped(files)


def _relations(kind: str, target: str) -> str:
    relation = f'<Relationship Id="r1" Type="{RELATIONS}/{kind}" Target="{target}"/>'
    return f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{relation}</Relationships>'


def _word() -> bytes:
    """Return a document of one empty paragraph."""
    space = MAIN.format("wordprocessingml")
    text = f'<w:document xmlns:w="{space}"><w:body><w:p/></w:body></w:document>'
    return _package("word", ("word/document.xml", f"{WORD}.main+xml", text), {})


def _sheet() -> bytes:
    """Return a workbook of one empty sheet."""
    space = MAIN.format("spreadsheetml")
    book = f'<workbook xmlns="{space}" xmlns:r="{RELATIONS}"><sheets><sheet name="1" sheetId="1" r:id="r1"/></sheets>'
    empty = f'<worksheet xmlns="{space}"><sheetData/></worksheet>'
    return _package(
        "xl",
        ("xl/workbook.xml", f"{SHEET}.main+xml", f"{book}</workbook>"),
        {"xl/sheet1.xml": (f"{OFFICE}spreadsheetml.worksheet+xml", empty)},
        _relations("worksheet", "sheet1.xml"),
    )
