"""A registration's quality in plain words, with what the words rest on.

The words never say that a registration is good: measures can show that something is wrong, or that
nothing wrong was found where it was looked for. Nothing here loads PyTorch.

Limits are those of AAPM Task Group 132 (Brock et al., Med Phys 44(7):e43-e76, 2017, doi
10.1002/mp.12256, table III) where it gives one:

- target registration error and consistency: the maximum voxel dimension, about 2-3 mm; see
  :mod:`tolerance` for how the limit follows the voxels;
- mean distance to agreement of surfaces: the contouring uncertainty of the structure, or the
  maximum voxel dimension, about 2-3 mm;
- Dice: the contouring uncertainty of the structure, about 0.80-0.90, lower for small structures;
- Jacobian determinant: no negative values, else as the clinical scenario leads one to expect.

Here 0.80 holds for every structure; stereotactic treatment asks for 1 mm. To which statistic a
limit is applied, and at which share a caution becomes a problem, is this program's own choice, and
is marked so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from DeepRegistrationLib.evaluation.finding import LEVELS, OWN, Finding, position, region_in_words
from DeepRegistrationLib.evaluation.tolerance import Tolerance, tolerance
from DeepRegistrationLib.reports.alignment_findings import alignment_findings
from DeepRegistrationLib.reports.deformation_findings import (
    consistency_findings,
    folding_findings,
    segment_findings,
)
from DeepRegistrationLib.reports.driving_findings import driving_findings
from DeepRegistrationLib.reports.heart_findings import heart_findings
from DeepRegistrationLib.reports.lung_findings import lung_findings
from DeepRegistrationLib.reports.overlap_findings import overlap_findings, proves
from DeepRegistrationLib.reports.uncertainty_findings import uncertainty_findings

LANDMARK_SHARE_PROBLEM = 0.1  # own choice: this part of the landmarks above the limit
FEW_LANDMARKS = 10  # own choice: fewer say little about the rest of the image
UNRELATED = 0.2  # local correlation; that of two images that show different things; own choice


@dataclass(frozen=True)
class Verdict:
    """What can be said of a registration.

    Attributes:
        level: Of ``LEVELS``: the worst of the findings; ``unknown`` without landmarks and without
            segmentations of both images, where nothing worse was found.
        headline: One sentence.
        findings: What it rests on, the worst first.
    """

    level: str
    headline: str
    findings: tuple[Finding, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it: ``level``, ``headline``, ``findings`` (level, text, basis)."""
        return asdict(self) | {"findings": [asdict(finding) for finding in self.findings]}

    def text(self) -> str:
        """Headline and findings, one a line."""
        return "\n".join([self.headline, *(finding.text for finding in self.findings)])


_PROOFS = ("landmarks", "segmentations")


def faulty(level: str) -> bool:
    """Whether a verdict of this level finds fault with the result: a warning is due."""
    return level in ("caution", "problem")


def verdict(
    quality: dict[str, Any] | None,
    *,
    labels: Sequence[str] = (),
    before: Sequence[float] = (),
    after: Sequence[float] = (),
    positions: Sequence[Sequence[float]] = (),
    left_out: Sequence[float] = (),
    voxel: float | None = None,
) -> Verdict:
    """Judge a registration by its measures.

    Args:
        quality: What ``quality.measure_quality`` gave; None where nothing was measured.
        labels: Of the landmarks that did not drive the deformation.
        before, after: Their errors in mm without and with the registration.
        positions: Of the landmarks in the fixed image, LPS mm, to say where the largest error is.
        left_out: Of further landmarks, which drove the deformation, the errors in mm when each is
            left out; NaN where that was not measured.
        voxel: Largest voxel dimension of the two images, mm, which the limits follow; that in
            ``quality`` when omitted.
    """
    quality = quality or {}
    allowed = tolerance(quality.get("voxel_mm") if voxel is None else voxel)
    names = _names(labels, positions, len(after))
    errors = np.asarray(before, float), np.asarray(after, float)
    findings = [
        *([] if len(left_out) and not len(after) else _landmarks(names, *errors, allowed)),
        *driving_findings(np.asarray(left_out, float), allowed),
        *_modality(quality),
        *lung_findings((quality.get("region") or {}).get("lungs")),
        *_alignment(quality),
        *folding_findings(quality),
        *segment_findings(quality.get("segments")),
        *overlap_findings(quality.get("overlap"), allowed),
        *heart_findings(quality.get("hearts")),
        *consistency_findings(quality.get("inverse_consistency"), allowed),
        *uncertainty_findings(quality.get("uncertainty")),
        *_similarity(quality),
        *_pending(quality),
    ]
    ordered = tuple(sorted(findings, key=lambda finding: -LEVELS.index(finding.level)))
    overlap = quality.get("overlap") or {}
    proof = len(after) > 0 or proves(overlap)
    worst = ordered[0].level if ordered else "unknown"
    level = "unknown" if worst == "ok" and not proof else worst
    drove = [*(["landmarks"] if len(left_out) else []), *(["segmentations"] if overlap else [])]
    return Verdict(level, _headline(level, ordered, proof, drove), ordered)


def _headline(level: str, findings: tuple[Finding, ...], proof: bool, drove: list[str]) -> str:
    shown = [finding.text.rstrip(".") for finding in findings if finding.level == level]
    if level == "problem":
        return f"Problem: {'; '.join(shown)}."
    if level == "caution":
        return f"Look closely: {'; '.join(shown)}."
    if not proof:
        but = {name: " but those that drove it" if name in drove else "" for name in _PROOFS}
        return (
            f"Accuracy is not known: there are no landmarks{but['landmarks']} and no segmentations "
            f"of both images{but['segmentations']}; the other measures can only find faults."
        )
    if level == "unknown":
        return f"Not everything is known: {'; '.join(shown)}."
    kept = "; ".join(finding.text.rstrip(".") for finding in findings)
    return f"No fault found in what was measured: {kept}."


def _names(labels: Sequence[str], positions: Sequence[Sequence[float]], count: int) -> list[str]:
    """What to call landmarks: label, or number, and place."""
    names = [labels[k] if k < len(labels) else str(k + 1) for k in range(count)]
    if len(positions) != count:
        return names
    return [f"{name}, {position(p)}" for name, p in zip(names, positions, strict=True)]


def _landmarks(
    names: Sequence[str], before: np.ndarray, after: np.ndarray, allowed: Tolerance
) -> list[Finding]:
    count = len(after)
    if count == 0:
        return [Finding("unknown", "No landmarks were given.")]
    above = int((after > allowed.limit).sum())
    worst = int(np.argmax(after))
    basis = f"{allowed.basis}; for each landmark, and a problem from "
    basis += f"{100 * LANDMARK_SHARE_PROBLEM:g} % of the landmarks: {OWN}"
    text = f"{above} of {count} landmarks above {allowed.limit:g} mm, {allowed.short}"
    text += f" (mean {after.mean():.2f} mm, largest {after[worst]:.2f} mm at landmark "
    text += f"{names[worst]})."
    if len(before) == count:
        text = text[:-2] + f"; mean before {before.mean():.2f} mm)."
    level = "ok" if above == 0 else "caution"
    if above >= LANDMARK_SHARE_PROBLEM * count and above > 0:
        level = "problem"
    findings = [Finding(level, text, basis)]
    if len(before) == count and after.mean() > before.mean():
        findings.append(
            Finding("problem", "The landmarks are farther apart than before the registration.")
        )
    if count < FEW_LANDMARKS:
        few = f"Only {count} landmark{'s' if count > 1 else ''}: "
        few += "the rest of the image is not checked by them."
        findings.append(Finding("unknown", few, f"fewer than {FEW_LANDMARKS}: {OWN}"))
    return findings


def _pending(quality: dict[str, Any]) -> list[Finding]:
    """What the verdict does not know yet; see ``quality.quality_in_parts``."""
    names = quality.get("pending")
    return [Finding("unknown", f"Not measured yet: {' and '.join(names)}.")] if names else []


def _modality(quality: dict[str, Any]) -> list[Finding]:
    side = quality.get("other_modality")
    if side is None:
        return []
    ct = "moving" if side == "fixed" else "fixed"
    text = f"The {ct} image is CT and the {side} one is not, so their correlation says nothing; "
    return [Finding("caution", f"{text}rely on landmarks and structures.")]


def _alignment(quality: dict[str, Any]) -> list[Finding]:
    if quality.get("other_modality"):
        return []
    return alignment_findings(quality.get("alignment"), region_in_words(quality))


def _similarity(quality: dict[str, Any]) -> list[Finding]:
    values = quality.get("similarity")
    if not values or quality.get("other_modality"):
        return []
    before, after = values["before"]["local_ncc"], values["after"]["local_ncc"]
    if before is None or after is None:
        return []
    text = f"Local correlation in {region_in_words(quality)} {before:.2f} before, {after:.2f} after"
    basis = f"lower than before, or below {UNRELATED:g}: {OWN}"
    if round(after, 2) < round(before, 2):  # one image twice may lose the eighth digit
        return [Finding("problem", f"{text}: the images are less similar now.", basis)]
    if after < UNRELATED:
        return [Finding("caution", f"{text}: the images hardly resemble each other.", basis)]
    return [Finding("ok", f"{text}, which does not show accuracy.", basis)]
