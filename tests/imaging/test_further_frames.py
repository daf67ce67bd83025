import numpy as np
import pytest
from PIL import Image

from ganforge.imaging.further_frames import has_more_frames

FRAMES = [Image.fromarray(np.full((6, 8, 3), value, np.uint8)) for value in (0, 90, 200)]


@pytest.mark.parametrize("kind", ["png", "gif", "webp", "tiff", "avif"])
def test_animation_and_pages_have_more_frames_and_a_still_image_has_not(helpers, kind):
    several = helpers.file_bytes(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:])
    assert has_more_frames(several)
    assert not has_more_frames(helpers.file_bytes(FRAMES[0], kind))


def test_previews_of_a_photo_and_damage_are_no_frames(helpers):
    photo = helpers.file_bytes(FRAMES[0], "mpo", save_all=True, append_images=FRAMES[1:])
    assert not has_more_frames(photo)
    assert not has_more_frames(b"GIF89a")
    assert not has_more_frames(b"\x93NUMPY")
