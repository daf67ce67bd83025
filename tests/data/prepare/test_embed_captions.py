"""Captions become vectors: in `prepare`, and of shards that exist."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image
from torch.testing import assert_close

from ganforge.config.choices import ComponentChoice
from ganforge.config.models import DataConfig
from ganforge.data.loader import RealImages
from ganforge.data.prepare.embed_captions import embed
from ganforge.data.prepare.source_to_shards import prepare
from ganforge.data.shards.index import load_index
from ganforge.data.shards.verify import verify_shards
from ganforge.encoders.hashed_words import HashedWords, HashedWordsConfig
from ganforge.errors import DataError, ShardError
from ganforge.interfaces.spec import ImageSpec, TextEncoding

HASHED = ComponentChoice(name="hashed_words", size=16)
ENCODER = HashedWords(HashedWordsConfig(size=16))
CAPTIONS = ["a red apple", "a pear\na green pear", "two plums"]


def write_tar(path, captions):
    """Images with captions, as `img2dataset` writes them."""
    with tarfile.open(path, "w") as tar:
        for number, caption in enumerate(captions):
            buffer = io.BytesIO()
            Image.new("RGB", (8, 8), (number, 0, 0)).save(buffer, "PNG")
            for suffix, data in (("png", buffer.getvalue()), ("txt", caption.encode())):
                info = tarfile.TarInfo(f"{number:04d}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def config(tmp_path, captions=CAPTIONS, **options):
    source = {"name": "webdataset", "urls": str(write_tar(tmp_path / "raw.tar", captions))}
    return DataConfig(source=source, workers=0, samples_per_shard=2, **options)


@pytest.fixture
def plain(tmp_path):
    """Shards with captions and without embeddings."""
    prepare(config(tmp_path), tmp_path / "plain", workers=0, progress=False)
    return tmp_path / "plain"


def stored_vectors(location):
    """Vectors by the caption's first line."""
    real = RealImages(DataConfig(), str(location))
    numbers = range(len(real))
    texts = real._reader.batch("main", places(real), ["caption"])[0]["caption"]
    return dict(zip(texts, real.samples(numbers, ["text"])["text"], strict=True))


def places(real):
    sizes = [shard.num_samples for shard in real.index.streams["main"]]
    return np.array([[s, n] for s, size in enumerate(sizes) for n in range(size)])


def test_embed_writes_the_encoders_vectors_beside_the_captions(plain, tmp_path):
    before = load_index(str(plain))

    index = embed(str(plain), tmp_path / "out", HASHED, progress=False)

    assert index == load_index(str(tmp_path / "out"))
    assert sorted(index.fields) == ["caption", "image", "text"]
    assert [s.num_samples for s in index.streams["main"]] == [2, 1]
    assert verify_shards(str(tmp_path / "out")).is_sound
    for caption, vector in stored_vectors(tmp_path / "out").items():
        assert_close(vector, ENCODER.encode([caption])[0])
    assert load_index(str(plain)) == before
    assert_close(
        RealImages(DataConfig(), str(plain)).batch(range(3)),
        RealImages(DataConfig(), str(tmp_path / "out")).batch(range(3)),
    )


def test_embed_records_name_options_revision_and_size(plain, tmp_path):
    spec = embed(str(plain), tmp_path / "out", HASHED, progress=False).image_spec

    assert spec.text_dim == 16
    assert spec.text_encoding == TextEncoding("hashed_words", {"size": 16}, ENCODER.revision)


def test_prepare_with_an_encoder_equals_prepare_and_embed(plain, tmp_path):
    both = embed(str(plain), tmp_path / "out", HASHED, progress=False)

    settings = config(tmp_path, text_encoder=HASHED)
    once = prepare(settings, tmp_path / "once", workers=0, progress=False)

    assert once.digest == both.digest
    assert once.recipe["text_encoder"] == {"name": "hashed_words", "size": 16}


def test_digest_does_not_depend_on_where_the_words_lie(plain, tmp_path):
    digests = set()
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("a 1 0\ntwo 0 1\n")
        words = ComponentChoice(name="word_vectors", path=str(tmp_path / name))
        digests.add(embed(str(plain), tmp_path / name[:3], words, progress=False).digest)
    other = ComponentChoice.model_validate({**words.model_dump(), "unknown_words": "hash"})
    digests.add(embed(str(plain), tmp_path / "other", other, progress=False).digest)

    assert len(digests) == 2


def test_index_without_embeddings_has_no_encoder_and_keeps_its_digest(plain):
    assert "text_encoding" not in load_index(str(plain)).spec


def test_embed_again_replaces_the_vectors_in_place(plain, tmp_path):
    embed(str(plain), tmp_path / "out", HASHED, progress=False)
    other = ComponentChoice(name="hashed_words", size=8)

    index = embed(str(tmp_path / "out"), tmp_path / "out", other, overwrite=True, progress=False)

    assert index.image_spec.text_dim == 8
    assert next(iter(stored_vectors(tmp_path / "out").values())).shape == (8,)


def test_embed_into_a_data_set_that_is_there_needs_overwrite(plain):
    with pytest.raises(DataError, match="already exists and is not empty. .*overwrite"):
        embed(str(plain), plain, HASHED, progress=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_embed_into_or_around_the_data_set_that_is_read_is_refused(plain, overwrite):
    before = sorted(plain.iterdir())

    for out in (plain / "deep" / "text", plain.parent):
        with pytest.raises(DataError, match=r"lies in .*Choose an OUT beside .*plain"):
            embed(str(plain), out, HASHED, overwrite=overwrite, progress=False)

    assert sorted(plain.iterdir()) == before


def test_embed_over_a_folder_with_notes_keeps_them(plain, tmp_path):
    embed(str(plain), tmp_path / "out", HASHED, progress=False)
    (tmp_path / "out" / "mynotes.txt").touch()

    with pytest.raises(DataError, match="holds 'mynotes.txt', which .* Remove it, or choose"):
        embed(str(plain), tmp_path / "out", HASHED, overwrite=True, progress=False)

    assert (tmp_path / "out" / "mynotes.txt").exists()


def test_embed_of_shards_without_captions_is_refused_with_the_sources(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    source = {"name": "folder", "path": str(tmp_path)}
    prepare(DataConfig(source=source), tmp_path / "shards", workers=0, progress=False)

    with pytest.raises(DataError, match="no field 'caption' to embed; it has image. .*manifest"):
        embed(str(tmp_path / "shards"), tmp_path / "out", HASHED, progress=False)
    with pytest.raises(DataError, match="'folder' has no field 'caption'"):
        prepare(
            DataConfig(source=source, text_encoder=HASHED),
            tmp_path / "out",
            workers=0,
            progress=False,
        )
    assert not (tmp_path / "out").exists()


def test_embed_of_an_empty_caption_names_the_sample(tmp_path):
    prepare(config(tmp_path, ["a", " \n"]), tmp_path / "plain", workers=0, progress=False)

    with pytest.raises(DataError, match="Sample '.*0001' of .*plain has an empty caption"):
        embed(str(tmp_path / "plain"), tmp_path / "out", HASHED, progress=False)


def test_embed_of_a_caption_without_words_names_text_and_place(tmp_path):
    prepare(config(tmp_path, ["a", "?!"]), tmp_path / "plain", workers=0, progress=False)

    with pytest.raises(DataError, match=r"plain: The text '\?!' cannot be embedded"):
        embed(str(tmp_path / "plain"), tmp_path / "out", HASHED, progress=False)


def test_embed_of_a_damaged_shard_writes_nothing(plain, tmp_path):
    shard = plain / "main-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-1024] + bytes([1]) * 1024)

    with pytest.raises(ShardError, match="main-000000.tar is not what the index says"):
        embed(str(plain), tmp_path / "out", HASHED, progress=False)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def batches(load):
    """A function that reads steps of a data set with captions."""

    def read(location, num_slots, local, steps=6, start=0):
        return load(
            location, steps, fields=["image", "caption", "text"], seed=3, num_slots=num_slots,
            local_slots=local, start_step=start,
        )  # fmt: skip

    return read


def test_loader_draws_one_of_several_captions_with_its_own_vector(plain, tmp_path, batches):
    embed(str(plain), tmp_path / "out", HASHED, progress=False)

    seen = set()
    for (batch,) in batches(tmp_path / "out", 1, range(1), steps=30):
        seen |= set(batch["caption"])
        assert_close(batch["text"], ENCODER.encode(batch["caption"]))

    assert seen == {"a red apple", "a pear", "a green pear", "two plums"}


def test_loader_draws_the_same_captions_on_any_rank_and_after_a_resume(plain, tmp_path, batches):
    embed(str(plain), tmp_path / "out", HASHED, progress=False)

    whole = batches(tmp_path / "out", 2, range(2))
    second = batches(tmp_path / "out", 2, range(1, 2))
    resumed = batches(tmp_path / "out", 2, range(2), steps=3, start=3)

    assert [slots[1]["caption"] for slots in whole] == [slots[0]["caption"] for slots in second]
    assert [[s["caption"] for s in slots] for slots in whole[3:]] == [
        [s["caption"] for s in slots] for slots in resumed
    ]
    assert_close(whole[5][1]["text"], second[5][0]["text"])


def test_captions_given_as_a_list_become_lines(tmp_path):
    from ganforge.data.prepare.probe import probe_schema
    from ganforge.data.prepare.sample_encoder import SampleEncoder
    from ganforge.interfaces.source import Sample

    sample = Sample("a", {"caption": ["one\nline", "two"], "text": np.ones((2, 3))})
    schema = probe_schema(DataConfig(), "main", [sample], "here")

    members = SampleEncoder(DataConfig(), schema, "here").encode(sample).sample.members

    assert schema["text"].size == 3
    assert members["caption.txt"] == b"one line\ntwo"
    assert np.load(io.BytesIO(members["text.npy"])).shape == (2, 3)


def test_spec_with_an_encoding_survives_json():
    encoding = TextEncoding("hashed_words", {"size": 4}, "ab")
    whole = ImageSpec(8, 8, text_dim=4, text_encoding=encoding)

    assert ImageSpec.from_dict(whole.to_dict()) == whole
    assert isinstance(hash(whole), int)
