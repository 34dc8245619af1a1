"""Whose slide it is, told by the slide's name."""

import re

_PATIENT = re.compile(
    r'TCGA-[^-]+-[^-]+'  # TCGA-A1-A0SK of TCGA-A1-A0SK-01Z-00-DX1.A44D70FA-...
    # and the other two kinds of names in TIGER:
    r'|TC_[^_]+_P\d+'  # TC_S01_P000054 of TC_S01_P000054_C0001_B101
    r'|\d+(?=[BS]$)'  # 114 of 114S: B for a biopsy, S for a surgical specimen
)


def patient(slide: str) -> str:
    """Tells the patient by the name of the slide; the whole name where it has no known form.

    Folders in front of it, as `FOLDER__SLIDE`, are not looked at: downloads from the GDC lie in
    one each (`slides.finding` names slides so).
    """
    match = _PATIENT.match(slide.rpartition('__')[2])
    return match[0] if match else slide
