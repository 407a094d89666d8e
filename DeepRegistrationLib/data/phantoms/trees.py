"""Airway and vessel trees of the thorax phantom: grown to fill the lungs, drawn as tubes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from DeepRegistrationLib.data.phantoms.thorax_shape import cover
from DeepRegistrationLib.images.geometry import Grid

_PIECE = 4.0  # length of the straight pieces that a curved branch is drawn with, mm
_NEAR, _GAP = 5.0, 2.0  # clear branchings: after so many mm there is such a gap, mm
_MURRAY = 3.0  # r_parent^m = sum of r_child^m


@dataclass(frozen=True, eq=False)
class Tree:
    """Branches between nodes; node 0 is the root.

    Attributes:
        nodes: Positions in the chest's coordinates, mm: [k, 3].
        parent: Index of each node's parent, -1 for the root: [k].
        radius: Of the branch that leads to the node, mm: [k].
        heading: Unit vector in which that branch arrives: [k, 3].
    """

    nodes: np.ndarray
    parent: np.ndarray
    radius: np.ndarray
    heading: np.ndarray

    def branchings(self) -> np.ndarray:
        """Indices of the clear branchings, where a CT shows two branches apart after a few mm."""
        order = np.argsort(self.parent, kind="stable")
        order = order[self.parent[order] > 0]  # not the root's own branches
        first, second = order[:-1], order[1:]
        twins = self.parent[first] == self.parent[second]
        first, second = first[twins], second[twins]
        node = self.parent[first]
        branches = [self.nodes[child] - self.nodes[node] for child in (first, second)]
        lengths = [np.linalg.norm(branch, axis=1) for branch in branches]
        ends = [_NEAR * b / n[:, None] for b, n in zip(branches, lengths, strict=True)]
        apart = np.linalg.norm(ends[0] - ends[1], axis=1) - self.radius[first] - self.radius[second]
        return node[(np.minimum(*lengths) > _NEAR) & (apart > _GAP)]


@dataclass(frozen=True, eq=False)
class Tubes:
    """Straight tapered pieces: start and end [m, 3], their radii [m], in mm, float32."""

    start: Tensor
    end: Tensor
    start_radius: Tensor
    end_radius: Tensor


def grow(
    root: np.ndarray,
    heading: np.ndarray,
    targets: np.ndarray,
    leaf_radius: float,
    rng: np.random.Generator,
) -> Tree:
    """Grow a tree that fills a cloud of points (Tawhai et al. 2004, simplified).

    At each node the points that it feeds are divided by a plane through their mean that contains
    the branch's direction; a branch grows towards the mean of each half, 40 % of the way. The
    last branches end at single points.

    Args:
        root: [3].
        heading: Direction of the stem, [3].
        targets: What to reach: [n, 3].
        leaf_radius: Of the last branches, mm.
    """
    nodes, parents, headings = [np.asarray(root, dtype=np.float64)], [-1], [_unit(heading)]
    counts = [len(targets)]
    stack = [(0, np.arange(len(targets)))]
    while stack:
        node, members = stack.pop()
        here = nodes[node]
        for half in _halves(targets[members] - here, headings[node], rng):
            group = members[half]
            step = targets[group].mean(axis=0) - here
            if len(group) > 1:
                step = step * rng.uniform(0.36, 0.46)
            nodes.append(here + step)
            parents.append(node)
            headings.append(_unit(step))
            counts.append(len(group))
            if len(group) > 1:
                stack.append((len(nodes) - 1, group))
    radius = leaf_radius * np.asarray(counts, dtype=np.float64) ** (1.0 / _MURRAY)
    return Tree(np.array(nodes), np.array(parents), radius, np.array(headings))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _halves(
    offsets: np.ndarray, heading: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Divide points [n, 3] in two groups (boolean masks), across their widest spread."""
    across = offsets - (offsets @ heading)[:, None] * heading
    across = across - across.mean(axis=0)
    _, vectors = np.linalg.eigh(across.T @ across)
    side = across @ vectors[:, -1]
    cut = 0.0 if len(side) < 6 else rng.uniform(-0.25, 0.25) * float(side.std())
    upper = side > cut
    if upper.all() or not upper.any():
        upper = np.arange(len(side)) < max(1, len(side) // 2)
    return upper, ~upper


def tubes(tree: Tree, rng: np.random.Generator, *, above: float = 0.0) -> Tubes:
    """Cut a tree into straight pieces; branches leave their parent smoothly (quadratic curves).

    Args:
        above: Leave out branches with a radius below this, mm.
    """
    child = np.nonzero((tree.parent >= 0) & (tree.radius >= above))[0]
    parent = tree.parent[child]
    begin, end = tree.nodes[parent], tree.nodes[child]
    length = np.linalg.norm(end - begin, axis=1)
    pull = 0.2 * tree.heading[parent] + 0.8 * tree.heading[child]
    wiggle = rng.normal(scale=0.06, size=begin.shape)
    control = begin + 0.5 * length[:, None] * (pull + wiggle)
    first = np.minimum(tree.radius[parent], 1.25 * tree.radius[child])
    pieces = np.clip(np.ceil(length / _PIECE), 1, 8).astype(int)
    parts: list[tuple[np.ndarray, ...]] = []
    for count in np.unique(pieces):
        rows = pieces == count
        t = np.linspace(0.0, 1.0, count + 1)[:, None, None]
        curve = (1 - t) ** 2 * begin[rows] + 2 * t * (1 - t) * control[rows] + t**2 * end[rows]
        taper = first[rows] + t[..., 0] * (tree.radius[child][rows] - first[rows])
        parts.append((curve[:-1].reshape(-1, 3), curve[1:].reshape(-1, 3),
                      taper[:-1].ravel(), taper[1:].ravel()))  # fmt: skip
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)]
    return Tubes(*(torch.from_numpy(c).float() for c in columns))


def joined(parts: list[Tubes]) -> Tubes:
    """Several sets of tubes as one."""
    return Tubes(*(torch.cat([getattr(p, name) for p in parts]) for name in Tubes.__annotations__))


def distance_to(tubes: Tubes, points: np.ndarray) -> np.ndarray:
    """Signed distance of points [n, 3] to the nearest tube's surface, mm: [n]."""
    result = np.full(len(points), np.inf)
    start, end = tubes.start.numpy().astype(float), tubes.end.numpy().astype(float)
    radius = np.maximum(tubes.start_radius.numpy(), tubes.end_radius.numpy())
    for a, b, r in zip(start, end, radius, strict=True):
        near = np.abs(points - 0.5 * (a + b)).max(axis=1) < np.linalg.norm(b - a) + r + 5.0
        offset = points[near] - a
        t = np.clip(offset @ (b - a) / max(float((b - a) @ (b - a)), 1e-6), 0.0, 1.0)
        distance = np.linalg.norm(offset - t[:, None] * (b - a), axis=1) - r
        result[near] = np.minimum(result[near], distance)
    return result


class Raster:
    """Draws tubes at the points of a grid that a motion has carried into the chest's coordinates.

    Args:
        tubes: What to draw.
        middle: Where the motion carries the pieces' middles: physical points [m, 3].
        grid: The image's grid.
        width: Size of a voxel for soft edges, mm.
        peak: Whether thin tubes get fainter as a voxel averages them with their surroundings.
    """

    def __init__(
        self, tubes: Tubes, middle: Tensor, grid: Grid, width: float, *, peak: bool = True
    ) -> None:
        self.tubes, self.grid, self.width, self.peak = tubes, grid, width, peak
        index = torch.as_tensor(grid.to_index(middle.double().numpy()))
        self.center = index.round().long()
        self.per_mm = np.linalg.norm(grid.inverse_matrix, axis=1)  # voxels along each index axis
        half = 0.5 * (tubes.end - tubes.start).norm(dim=-1)
        reach = half + torch.maximum(tubes.start_radius, tubes.end_radius) + 0.5 * width + 0.5
        self.reach = torch.ceil(reach).double()  # few classes of equal windows

    def draw(self, points: Tensor, slab: slice) -> Tensor:
        """Largest cover [nz * y * x] in [0, 1] over all tubes.

        Args:
            points: The slab's voxels in the chest's (inhale) coordinates: [nz, y, x, 3].
            slab: Which z indices of the grid they are.
        """
        flat = points.reshape(-1, 3)
        result = torch.zeros(len(flat))
        first = torch.tensor([0, 0, slab.start])
        last = torch.tensor([self.grid.size[0], self.grid.size[1], slab.stop]) - 1
        for reach in torch.unique(self.reach):
            half = torch.tensor([int(float(reach) * n + 0.5) for n in self.per_mm])
            near = (self.center >= first - half) & (self.center <= last + half)
            members = (near.all(-1) & (self.reach == reach)).nonzero()[:, 0]
            window = int((2 * half + 1).prod())
            for part in members.split(max(1, 500_000 // window)):
                self._splat(result, flat, part, half, slab)
        return result

    def _splat(
        self, result: Tensor, points: Tensor, part: Tensor, half: Tensor, slab: slice
    ) -> None:
        """Draw tubes of one class: each in a window of +-``half`` voxels around its middle."""
        bounds = ((0, self.grid.size[0]), (0, self.grid.size[1]), (slab.start, slab.stop))
        stride = (1, self.grid.size[0], self.grid.size[0] * self.grid.size[1])
        valid = torch.ones(len(part), 1, 1, 1, dtype=torch.bool)
        voxel = torch.zeros(len(part), 1, 1, 1, dtype=torch.long)
        for axis, (low, high) in enumerate(bounds):
            steps = torch.arange(-int(half[axis]), int(half[axis]) + 1)
            view = [1, 1, 1]
            view[2 - axis] = len(steps)
            index = (self.center[part, axis][:, None] + steps).view(len(part), *view)
            valid = valid & (index >= low) & (index < high)
            voxel = voxel + (index - low) * stride[axis]
        tube = part[:, None, None, None].expand_as(voxel)[valid]
        voxel = voxel[valid]
        value = self._cover(points[voxel], tube)
        touched = value > 0
        result.scatter_reduce_(0, voxel[touched], value[touched], "amax")

    def _cover(self, points: Tensor, tube: Tensor) -> Tensor:
        """Cover of each point [n, 3] by its tube [n]."""
        start = self.tubes.start[tube]
        line = self.tubes.end[tube] - start
        offset = points - start
        t = ((offset * line).sum(-1) / (line * line).sum(-1).clamp(min=1e-6)).clamp(0.0, 1.0)
        distance = (offset - t[:, None] * line).norm(dim=-1)
        first = self.tubes.start_radius[tube]
        radius = first + t * (self.tubes.end_radius[tube] - first)
        result = cover(distance - radius, self.width)
        if self.peak:  # a thin tube fills only part of the voxel that it passes
            result = result * (1.0 - torch.exp(-3.1 * (radius / self.width) ** 2))
        return result
