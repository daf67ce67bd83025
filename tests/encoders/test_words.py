from ganforge.encoders.words import revision_of, words_of


def test_words_of_splits_at_signs_and_digits_in_lower_case():
    assert words_of("Clock-Face: NINE_o'clock, 10:30 Ünit") == [
        *("clock", "face", "nine", "o", "clock", "10", "30", "ünit")
    ]


def test_revision_of_depends_on_every_value_and_not_on_their_order():
    assert revision_of(a=1, b="x") == revision_of(b="x", a=1)
    assert revision_of(a=1, b="x") != revision_of(a=2, b="x")
    assert len(revision_of()) == 64
