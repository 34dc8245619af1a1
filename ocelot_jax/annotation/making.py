"""Pairs to train on, in OCELOT's layout, from annotated slides."""

import collections
import importlib.metadata
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from ocelot_jax.annotation import belonging, cutting, doubts, picture, splitting, writing
from ocelot_jax.annotation.choices import Choices
from ocelot_jax.annotation.cutting import Job
from ocelot_jax.annotation.summary import Counts, Summary
from ocelot_jax.annotation.surveying import Survey, survey
from ocelot_jax.data import patients, release
from ocelot_jax.io import atomic, disk, names, progress
from ocelot_jax.prediction import given_mpp

_PICTURED = 6
_NO_ROOM = 'nothing is kept; want room there, or --output elsewhere'


def make(
    slides: Path,
    annotations: Path,
    output: Path,
    choices: Choices,
    report: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Makes pairs of slides and their annotations, and writes them.

    Args:
        slides: a slide, or a directory of slides.
        annotations: a file, or a directory of files that are called as their slides.
        output: a new folder, or a zip by its suffix.
        choices: how pairs are made.
        report: called with what was made, in words, once it is written.

    Returns:
        What was made.

    Raises:
        MissingFileError: something is not there.
        OutputError: the output cannot be written.
        InputError: something is wrong with slides or annotations, or something is at `output`.
    """
    writing.check_free(output)
    found = belonging.find(slides, annotations, choices.recursive)
    folder = slides if slides.is_dir() else None
    mpps = given_mpp.of_slides(choices.mpp, found.slides, folder)
    surveys = [
        survey(name, found.slides[name], files, mpps.get(name), choices)
        for name, files in found.annotations.items()
    ]
    doubts.refuse(annotations, surveys, choices)
    jobs, splits = _plan_jobs(surveys, choices)
    disk.make_folder(output.absolute().parent)
    with disk.full_as_error(output, _NO_ROOM), writing.opened(output) as write:
        counts, ambiguous, drawn = _write_pairs(write, jobs, choices)
        summary = Summary(
            counts=counts,
            left_out=_left_out(surveys, ambiguous),
            not_used=_not_used(found, surveys, annotations),
            warnings=tuple(doubts.of(surveys, splits, counts, choices)),
        )
        writing.write_json(write, writing.RECORD, _record(summary, surveys, splits, choices))
        entries = {job.pair_id: _entry(job, choices) for job in jobs}
        writing.write_json(write, release.METADATA, {'sample_pairs': entries})
    shown = _show_picture(output, drawn)
    report(summary.render(output, shown, choices))
    for warning in summary.warnings:
        logging.warning('%s', warning)
    return summary


def _plan_jobs(surveys: Sequence[Survey], choices: Choices) -> tuple[list[Job], dict[str, str]]:
    """The pairs to cut, slide by slide, and the split of each group that lies in one."""
    planned = [(one, index) for one in surveys for index in range(len(one.places))]
    groups = [_group(one, index, choices.split_by) for one, index in planned]
    splits = splitting.split(collections.Counter(groups), choices.shares, choices.seed)
    jobs = [
        Job(f'{one.name}-{index + 1:03d}', splits[group], one, index)
        for (one, index), group in zip(planned, groups, strict=True)
    ]
    return jobs, splits


def _group(one: Survey, index: int, split_by: str) -> str:
    """What a pair lies in one split with."""
    if split_by == 'patient':
        return patients.patient(one.path.stem)
    return one.name if split_by == 'slide' else f'{one.name} {one.places[index].region + 1}'


def _write_pairs(
    write: writing.Write, jobs: Sequence[Job], choices: Choices
) -> tuple[dict[str, Counts], int, bytes]:
    """Cuts and writes all pairs; gives counts by split, ambiguous pixels, and a picture."""
    counts = {split: Counts.none(choices) for split in splitting.SPLITS}
    pictured = _pictured(jobs)
    rows, total, shown = [], 0, []
    cut = cutting.cut_all(jobs, choices)
    for job, pair, ambiguous in progress.track(cut, 'cutting', len(jobs), 'pairs'):
        writing.write_pair(write, pair)
        rows += cutting.origins(job, pair)
        counts[job.split] = counts[job.split].plus(job.survey.name, pair)
        total += ambiguous
        if job.pair_id in pictured:
            shown.append((pair, job.place.center(choices.patches)))
    writing.write_origins(write, rows)
    drawn = writing.encode_png(picture.draw(shown, choices))
    write(writing.PICTURE, drawn)
    return counts, total, drawn


def _pictured(jobs: Sequence[Job]) -> set[str]:
    """Pairs to draw: of every slide, for each may be annotated in a way of its own, and apart."""
    slides = [list(group) for _, group in itertools.groupby(jobs, lambda job: job.survey.name)]
    each = math.ceil(_PICTURED / len(slides))
    columns = []
    for held in slides:
        # pairs without cells show little
        shown = [job.pair_id for job in held if len(job.rows)] or [job.pair_id for job in held]
        columns.append([shown[i * len(shown) // each] for i in range(each)])
    turns = dict.fromkeys(pair_id for turn in zip(*columns, strict=True) for pair_id in turn)
    return set(list(turns)[:_PICTURED])


def _show_picture(output: Path, drawn: bytes) -> Path:
    """Where the picture can be looked at: beside a zip."""
    if not writing.is_zip(output):
        return output / writing.PICTURE
    path = output.with_name(f'{output.stem}_{Path(writing.PICTURE).name}')
    with atomic.replacing(path) as temporary:
        temporary.write_bytes(drawn)
    return path


def _entry(job: Job, choices: Choices) -> dict[str, Any]:
    one = job.survey
    return writing.metadata_entry(
        one.name, choices.organ, job.split, one.mpp, job.place, choices.patches
    )


def _left_out(surveys: Sequence[Survey], ambiguous: int) -> dict[str, int]:
    left_out = sum((collections.Counter(one.left_out) for one in surveys), collections.Counter())
    left_out['pixels of tissue where areas of two classes overlap, as unknown'] += ambiguous
    return dict(+left_out)


def _not_used(
    found: belonging.Found, surveys: Sequence[Survey], annotations: Path
) -> dict[str, tuple[str, ...]]:
    folder = annotations if annotations.is_dir() else annotations.parent
    return {
        'slides without annotations': tuple(
            name for name in found.slides if name not in found.annotations
        ),
        'slides without a ROI': tuple(one.name for one in surveys if not one.rois),
        'files of annotations that belong to no slide': tuple(
            names.shown(path.relative_to(folder)) for path in found.strangers
        ),
    }


def _record(
    summary: Summary, surveys: Sequence[Survey], splits: Mapping[str, str], choices: Choices
) -> dict[str, Any]:
    """Every choice, what it was made of, and what was left out, as JSON values."""
    return {
        'version': importlib.metadata.version('ocelot_jax'),
        'choices': choices.record(),
        'slides': [
            {
                'name': one.name,
                'file': one.path.name,
                **one.identity,
                'annotations': [
                    {'file': names.shown(file.name), 'digest': digest}
                    for file, digest in zip(one.files, one.digests, strict=True)
                ],
                'rois': one.rois,
                'pairs': len(one.places),
            }
            for one in surveys
        ],
        'splits': dict(sorted(splits.items())),
        'pairs': {split: counts.pairs for split, counts in summary.counts.items()},
        'left_out': summary.left_out,
        'not_used': summary.not_used,
        'warnings': summary.warnings,
    }
