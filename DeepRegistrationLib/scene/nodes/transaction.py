"""Taking changes of the scene back: after an error, or when the user wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from DeepRegistrationLib.scene.nodes.copies import light_copy
from DeepRegistrationLib.scene.nodes.outputs import outputs_of


class Record:
    """What a block added to the scene and changed in it; made by :func:`reversible`.

    Nothing large is copied: new content replaces a node's image or field, it never writes into it.
    """

    def __init__(self, scene, contents: Iterable, parents: Iterable) -> None:
        self._scene = scene
        self._ids = _ids(scene)
        self._contents = [(node, light_copy(node)) for node in contents]
        self._before = {node: node.GetTransformNodeID() for node in parents}
        self._after: dict = {}
        self._added: list = []
        self._known: set[str] = set()
        self._first: list[Callable[[], None]] = []
        self._taken: list[tuple] = []
        self._gone: list = []

    def before_undo(self, action: Callable[[], None]) -> None:
        """Do something else first: detach what a logic would otherwise bring back."""
        self._first.append(action)

    def take_out(self, owner, role: str) -> None:
        """Remove the displayable node that another one refers to; :meth:`undo` brings it back."""
        node = owner.GetNodeReference(role)
        if node is None:
            return
        displays = [node.GetNthDisplayNode(k) for k in range(node.GetNumberOfDisplayNodes())]
        self._taken.append((owner, role, node, displays))
        for gone in (node, *displays):
            self._scene.RemoveNode(gone)

    def close(self) -> None:
        """The block is over: what it did up to now is what :meth:`undo` takes back."""
        self._added = [node for node in _nodes(self._scene) if node.GetID() not in self._ids]
        self._known = _ids(self._scene)
        self._after = {node: node.GetTransformNodeID() for node in self._before}

    @property
    def undoable(self) -> bool:
        """Whether something of it is still in the scene."""
        nodes = [*self._added, *(node for node, _ in self._contents)]
        return any(self._scene.IsNodePresent(node) for node in nodes)

    def undo(self) -> None:
        """Remove what was added; give the other nodes their earlier content and parents.

        What was removed, added or placed elsewhere since is left alone, but for what was made of a
        transform that goes or changes back: it would be of a transform that is not there. What
        leaves the scene is kept until :meth:`release`, or as long as the record.
        """
        for action in self._first:
            action()
        self._added += self._made_since()
        for node, content in self._contents:
            if self._scene.IsNodePresent(node):
                self._gone.append(light_copy(node))
                node.CopyContent(content, False)
        for owner, role, node, displays in self._taken:
            if self._scene.IsNodePresent(owner):
                for back in (*displays, node):
                    self._scene.AddNode(back)
                owner.SetNodeReferenceID(role, node.GetID())
        for node, parent in self._before.items():
            if self._scene.IsNodePresent(node) and node.GetTransformNodeID() == self._after[node]:
                node.SetAndObserveTransformNodeID(parent)
        for node in reversed(self._added):
            if self._scene.IsNodePresent(node):
                self._scene.RemoveNode(node)
        self._gone += self._added
        self._forget()

    def _made_since(self) -> list:
        """Outputs of the block's transforms that came after it, with what displays them."""
        nodes = [*self._added, *(node for node, _ in self._contents)]
        made: list = []
        for node in nodes:
            if node.IsA("vtkMRMLTransformNode") and self._scene.IsNodePresent(node):
                made += [o for o in outputs_of(node).values() if o.GetID() not in self._known]
        for node in list(made):
            if node.IsA("vtkMRMLDisplayableNode"):
                count = node.GetNumberOfDisplayNodes()
                made += [node.GetNthDisplayNode(k) for k in range(count)]
        return made

    def release(self) -> bool:
        """Give up :meth:`undo`, and the memory that was kept for it or taken out by it.

        A gigabyte at once takes the system a quarter of a second, so this gives back the memory of
        one node.

        Returns:
            Whether there is more to give back.
        """
        self._gone += [content for _node, content in self._contents]
        self._gone += [node for _owner, _role, node, _displays in self._taken]
        self._forget()
        if self._gone:
            self._gone.pop()
        return bool(self._gone)

    def _forget(self) -> None:
        """There is nothing to undo any more."""
        self._first, self._added, self._contents, self._taken = [], [], [], []
        self._before, self._after, self._known = {}, {}, set()


@contextmanager
def reversible(scene, contents: Iterable = (), parents: Iterable = ()) -> Iterator[Record]:
    """Record what this block does to the scene, and undo it if the block fails.

    Args:
        contents, parents: Nodes whose content, whose parent transform the block may change,
            besides adding nodes.
    """
    record = Record(scene, contents, parents)
    try:
        yield record
    except BaseException:
        record.close()
        record.undo()
        raise
    record.close()


def _nodes(scene) -> list:
    return [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]


def _ids(scene) -> set[str]:
    return {node.GetID() for node in _nodes(scene)}
