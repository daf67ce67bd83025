import numpy as np
import pytest
from dancer import dance, write_coco
from pydantic import ValidationError

from ganforge.data.sources.clips import ClipsConfig, cut
from ganforge.errors import DataError
from ganforge.imaging.codec import decode_image


@pytest.fixture
def clips(tmp_path, paint):
    """A function that paints clips of so many frames, whose red counts the frames."""

    def write(folder, **lengths):
        for clip, count in lengths.items():
            for number in range(count):
                paint(tmp_path / folder / clip / f"{number}.png", number)
        return str(tmp_path / folder)

    return write


def reds(frames):
    return [int(decode_image(frame)[0, 0, 0]) for frame in frames]


def test_frames_gives_each_folder_as_one_clip_in_natural_order(clips, source):
    found = source("frames", path=clips("in", b=3, a=12))
    samples = list(found.samples())
    assert {s.key: reds(s.fields["frames"]) for s in samples} == {
        "a": list(range(12)),
        "b": [0, 1, 2],
    }
    assert found.num_samples() == 2


def test_frames_of_long_clips_are_cut_into_equal_pieces_of_one_group(clips, source):
    samples = list(source("frames", path=clips("in", a=11, b=4), max_frames=4).samples())
    assert [s.key for s in samples] == ["a_000000", "a_000003", "a_000007", "b"]
    assert [s.group for s in samples] == ["a", "a", "a", "b"]
    assert [v for s in samples[:3] for v in reds(s.fields["frames"])] == list(range(11))


@pytest.mark.parametrize(
    ("length", "pieces"),
    [(4, [(0, 4)]), (5, [(0, 2), (2, 5)]), (9, [(0, 3), (3, 6), (6, 9)]), (0, [(0, 0)])],
)
def test_cut_makes_the_fewest_pieces_and_loses_nothing(length, pieces):
    assert list(cut(length, 4)) == pieces


def test_parts_of_clips_do_not_overlap_and_are_all_of_them(clips, source):
    path, found = clips("in", a=11, b=5), []
    for part in ([0, 0.8], [0.8, 1]):
        samples = source("frames", path=path, part=part).samples()
        found.append({s.key: reds(s.fields["frames"]) for s in samples})
    assert found[0] == {"a": list(range(9)), "b": [0, 1, 2, 3]}
    assert found[1] == {"a": [9, 10], "b": [4]}


def test_part_of_pairs_is_cut_alike_and_one_without_frames_stays_to_be_listed(clips, source):
    places = {"source": clips("maps", a=5, b=1), "target": clips("photos", a=5, b=1)}
    whole, empty = source("frames", **places, part=[0, 0.4]).samples()
    for field in ("source", "frames"):
        assert [p.name for p in whole.fields[field]] == ["0.png", "1.png"]
        assert len(empty.fields[field]) == 0


@pytest.mark.parametrize("part", [[0.5, 0.5], [-0.1, 1], [0.2, 1.5]])
def test_part_outside_of_the_clip_is_refused(part):
    with pytest.raises(ValidationError, match="two shares from 0 to 1, rising"):
        ClipsConfig(path="in", part=part)


def test_frames_of_two_folders_are_pairs(clips, source):
    places = {"source": clips("maps", a=2, b=3), "target": clips("photos", a=2, b=3)}
    samples = list(source("frames", **places).samples())
    assert [sorted(s.fields) for s in samples] == [["frames", "source"]] * 2
    assert [p.parts[-3] for p in samples[0].fields["source"]] == ["maps"] * 2
    assert [p.parts[-3] for p in samples[0].fields["frames"]] == ["photos"] * 2


def test_frames_without_a_partner_are_listed(clips, source):
    places = {"source": clips("maps", a=2, c=2), "target": clips("photos", a=2, b=3)}
    with pytest.raises(DataError, match="clips without a partner, 1 in source=.*'c'; 1 in .*'b'"):
        list(source("frames", **places).samples())


def test_frames_of_unequal_length_are_listed(clips, source):
    places = {"source": clips("maps", a=2, b=3), "target": clips("photos", a=2, b=4)}
    fault = r"1 clips differ in length .*'b \(3 and 4 frames\)'. Make each pair equally long"
    with pytest.raises(DataError, match=fault):
        list(source("frames", **places).samples())


@pytest.mark.parametrize(
    "places", [{}, {"source": "a"}, {"path": "a", "target": "b"}, {"target": "b"}]
)
def test_clips_need_one_place_or_two(places):
    with pytest.raises(ValidationError, match="give path, or source and target"):
        ClipsConfig(**places)


def test_keypoints_as_sources_are_poses_twice_and_part_of_them(clips, source, tmp_path):
    write_coco(tmp_path / "keys.json", dance(5))
    made = source("frames", source=str(tmp_path / "keys.json"), target=clips("out", a=5))
    (sample,) = made.samples()
    assert sample.key == "a" and len(sample.fields["frames"]) == 5
    np.testing.assert_allclose(
        sample.fields["source"].points.reshape(5, 17, 3), dance(5), atol=1e-5
    )
    part = source(
        "frames", source=str(tmp_path / "keys.json"), target=str(tmp_path / "out"), part=[0.6, 1]
    )
    (sample,) = part.samples()
    np.testing.assert_allclose(sample.fields["pose"].points[:, :2], dance(5)[3:, 0, :2], atol=1e-5)


def test_keypoints_of_several_clips_are_matched_by_name_and_faults_are_kept(
    clips, source, tmp_path
):
    target = clips("out", a=3, b=4)
    write_coco(tmp_path / "keys" / "b.json", dance(4))
    (tmp_path / "keys" / "a.json").write_text("[{}")
    made = source("frames", source=str(tmp_path / "keys"), target=target)
    good, bad = made.samples()
    assert (good.key, good.fault, bad.key) == ("b", "", "a")
    assert "a.json cannot be read as JSON" in bad.fault
    write_coco(tmp_path / "keys" / "a.json", dance(4))
    made = source("frames", source=str(tmp_path / "keys"), target=target)
    with pytest.raises(DataError, match=r"1 clips differ in length.*a \(4 and 3 frames\)"):
        list(made.samples())
