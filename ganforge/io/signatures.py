"""What a file is, by its first bytes: the image format, or the name of anything else."""

HEAD_BYTES = 64
"""Bytes that the functions need."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF87a": ".gif",
    b"GIF89a": ".gif",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",  # BigTIFF
    b"MM\0+": ".tif",
    b"\0\0\0\x0cjP  ": ".jp2",
    b"\xff\x4f\xff\x51": ".j2k",
    b"\xff\x0a": ".jxl",
    b"\0\0\0\x0cJXL ": ".jxl",
    b"8BPS": ".psd",
}
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), ".avif"),
    **dict.fromkeys((b"heic", b"heix"), ".heic"),
    **dict.fromkeys((b"mif1", b"msf1"), ".heif"),
}
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
_OTHERS = {
    LFS_POINTER: "only a pointer of Git LFS to the file; fetch it with `git lfs pull`",
    b"/annex/objects/": "only a pointer of git-annex to the file; fetch it with `git annex get`",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"PK\3\4": "a zip archive",
    b"PK\5\6": "a zip archive without files",
    b"PK\7\10": "a part of a split zip archive",
    b"\x1f\x8b": "a file packed with gzip",
    b"\x1f\x9d": "a file packed with compress",
    b"BZh": "a file packed with bzip2",
    b"\xfd7zXZ\0": "a file packed with xz",
    b"\x28\xb5\x2f\xfd": "a file packed with zstd",
    b"\x04\x22\x4d\x18": "a file packed with lz4",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"PAR1": "a Parquet table",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML document",
    b"<": "a web page",
    b"{": "a JSON text",
}


def image_suffix(head: bytes) -> str | None:
    """The extension that fits the first bytes of an image file; None for other files."""
    for signature, suffix in _IMAGES.items():
        if head.startswith(signature):
            return suffix
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return ".bmp"
    is_pnm = head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace()
    return ".ppm" if is_pnm else None


def what_it_is(head: bytes) -> str | None:
    """What a file is that begins so, with its article: "a PDF document"; None if unknown."""
    suffix = image_suffix(head)
    if suffix is not None:
        name = {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper())
        return f"{'an' if name.startswith('A') else 'a'} {name} image"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, name in _OTHERS.items():
        if text.startswith(signature):
            return name
    if head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "a video"
    if head and not head.strip(b"\0"):
        return "a file of zeros"
    return None
