"""What a shell offers for the value of an option, once it has been told to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

__all__ = ["one_of_these"]


def one_of_these(names: Iterable[str]) -> Callable[..., list[CompletionItem]]:
    """These names, and files where FILE, say, is one of them."""

    def offer(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        known = list(names)
        items = [CompletionItem(name) for name in known if name.startswith(typed)]
        if any(name.startswith("FILE") for name in known):
            items = [item for item in items if not item.value.startswith("FILE")]
            items.append(CompletionItem(typed, type="file"))
        return items

    return offer
