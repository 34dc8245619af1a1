"""The patient by the name of the slide."""

import pytest

from ocelot_jax.data import patients


@pytest.mark.parametrize(
    ('slide', 'patient'),
    [
        ('TCGA-A1-A0SK-01Z-00-DX1.A44D70FA-4D96-43F4-9DD7-A61535786297', 'TCGA-A1-A0SK'),
        ('TC_S01_P000054_C0001_B101', 'TC_S01_P000054'),
        ('114S', '114'),
        ('100B', '100'),
        ('100B_2', '100B_2'),
        ('slide 7', 'slide 7'),
        ('0f5c__TCGA-A1-A0SK-01Z-00-DX1', 'TCGA-A1-A0SK'),
        ('a__b__114S', '114'),
        ('TCGA-A1-A0SK__slide 7', 'TCGA-A1-A0SK__slide 7'),
    ],
)
def test_patient(slide, patient):
    assert patients.patient(slide) == patient
