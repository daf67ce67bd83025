import numpy as np
import pytest

from ganforge.imaging.deep import avif_bits, read_ppm

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 65536, (5, 7, 3)).astype(np.uint16)


def ppm(pixels, white=65535, head=b"P6\n7 5\n%d\n"):
    return head % white + pixels.astype(">u2").tobytes()


def test_ppm_of_16_bits_is_read_exactly():
    np.testing.assert_array_equal(read_ppm(ppm(PIXELS), 100), PIXELS)


def test_ppm_of_10_bits_is_scaled_to_16_bits():
    values = np.clip(PIXELS, 0, 1023)
    values[0, 0] = 0, 512, 1023
    found = read_ppm(ppm(values, 1023), 100)
    assert found[0, 0].tolist() == [0, round(512 * 65535 / 1023), 65535]


@pytest.mark.parametrize("head", [b"P6\n# by hand\n7 5\n# white\n%d\n", b"P6 7\t5 %d "])
def test_ppm_header_may_have_comments_and_any_space(head):
    np.testing.assert_array_equal(read_ppm(ppm(PIXELS, head=head), 100), PIXELS)


def test_ppm_in_digits_is_read_exactly():
    digits = " ".join(map(str, PIXELS.ravel())).encode()
    np.testing.assert_array_equal(read_ppm(b"P3\n7 5 65535\n" + digits, 100), PIXELS)


@pytest.mark.parametrize("data", [b"", b"P6\n7 5\n255\n", b"P5\n7 5\n65535\n", b"P6\n7 5\n65536\n"])
def test_read_ppm_leaves_other_files_to_pillow(data):
    assert read_ppm(data + bytes(500), 100) is None


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (ppm(PIXELS)[:-1], "104 values of 105"),
        (ppm(PIXELS, 1023), "white is 1023"),
        (b"P3\n7 5\n1023\n1 2 x", "is a damaged PPM"),
        (b"P3\n7 5\n1023\n1 2 -3", "is a damaged PPM"),
        (b"P6\n999999 999999\n1023\n", "more than the limit of 100"),
        (b"P6\n0 5\n1023\n", "0 pixels"),
    ],
)
def test_damaged_ppm_is_refused(data, fault):
    with pytest.raises(ValueError, match=fault):
        read_ppm(data, 100)


@pytest.mark.parametrize(("flags", "bits"), [(0x0C, 8), (0x4C, 10), (0x6C, 12)])
def test_bits_of_an_avif_are_those_of_its_configuration(flags, bits):
    head = b"\0\0\0\x1cftypavif\0\0\0\0"
    plain = head + b"av1C\x81\0\x0c\0"
    assert avif_bits(plain + b"av1C\x81\0" + bytes([flags, 0])) == bits
    assert avif_bits(plain[8:] + b"av1C\x81\0" + bytes([flags, 0])) == 8
    assert avif_bits(head + b"av1C\x81") == 8
