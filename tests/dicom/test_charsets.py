# SPDX-License-Identifier: Apache-2.0
"""The seventeen samples of character sets: names as pydicom's own tests and documents spell them."""

from pathlib import Path

import pydicom
import pytest

from viewer.dicom import header, scan
from viewer.settings import Limits

NAMES = {
    "chrArab": "قباني^لنزار",
    "chrFren": "Buc^Jérôme",
    "chrFrenMulti": "Buc^Jérôme",
    "chrGerm": "Äneas^Rüdiger",
    "chrGreek": "Διονυσιος",
    "chrH31": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw": "שרון^דבורה",
    "chrI2": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti": "やまだ^たろう",
    "chrJapMultiExplicitIR6": "やまだ^たろう",
    "chrKoreanMulti": "김희중",
    "chrRuss": "Люкceмбypг",
    "chrSQEncoding": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrSQEncoding1": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrX1": "Wang^XiaoDong=王^小東",
    "chrX2": "Wang^XiaoDong=王^小东",
}
"""The last two are stored with one set outside of a sequence and another within."""
NO_PIXELS = {"chrJapMulti", "chrJapMultiExplicitIR6", "chrKoreanMulti", "chrSQEncoding", "chrSQEncoding1"}


def names_in(dataset: pydicom.Dataset) -> list[str]:
    return [str(element.value) for element in dataset.iterall() if element.keyword == "PatientName"]


@pytest.mark.shared
@pytest.mark.parametrize("sample", NAMES)
def test_the_name_is_right_in_the_header_and_at_the_image(shared: Path, sample: str) -> None:
    path = shared / "dicom/pydicom/charset_files" / f"{sample}.dcm"
    assert names_in(pydicom.dcmread(path)) == [NAMES[sample]]
    shown = [row.value for row in header(path, Limits()) if row.name == "Patient's Name"]
    assert shown == [NAMES[sample]]
    study = scan([path])
    assert (len(study.series), len(study.refused)) == ((0, 1) if sample in NO_PIXELS else (1, 0))
    if study.series:
        assert study.series[0].identity.patient == NAMES[sample]
