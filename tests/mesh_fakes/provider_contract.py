"""What every provider of clusters keeps, and one that makes none."""

from dataclasses import dataclass, field

from mesh_placement.provide.provider import Provider, ProviderFault, Standing, Wish


@dataclass(slots=True)
class PaperProvider:
    """A provider of clusters that are only written down; while `refuses` is set it can do nothing."""

    name: str = "local"
    made: dict[str, Standing] = field(default_factory=dict)
    """By the UID of the claim."""
    deeds: list[str] = field(default_factory=list)
    refuses: str = ""

    async def status(self, wish: Wish) -> Standing | None:
        return self.made.get(wish.uid)

    async def create(self, wish: Wish) -> None:
        self._do("create", wish)
        standing = Standing(
            kubeconfig=f"kubeconfig of {wish.cluster}", uid=f"ks-{wish.uid}", nodes=wish.nodes
        )
        self.made.setdefault(wish.uid, standing)

    async def scale(self, wish: Wish) -> None:
        self._do("scale", wish)
        before = self.made[wish.uid]
        self.made[wish.uid] = Standing(kubeconfig=before.kubeconfig, uid=before.uid, nodes=wish.nodes)

    async def delete(self, wish: Wish) -> None:
        self._do("delete", wish)
        self.made.pop(wish.uid, None)

    def _do(self, deed: str, wish: Wish) -> None:
        if self.refuses:
            raise ProviderFault(self.refuses, next_step="give it what it lacks")
        self.deeds.append(f"{deed} {wish.cluster}")


async def keeps_the_contract(provider: Provider) -> None:
    """Whatever provider it is: run through a cluster's life, each call twice."""
    wish = Wish(cluster="contract", uid="6f1f3d1c-0000-4000-8000-000000000001")
    other = Wish(cluster="contract", uid="6f1f3d1c-0000-4000-8000-000000000002")
    assert await provider.status(wish) is None
    await provider.delete(wish)  # of what was never made
    await provider.create(wish)
    first = await provider.status(wish)
    assert first is not None and first.uid and first.kubeconfig and first.nodes == wish.nodes
    await provider.create(wish)
    assert await provider.status(wish) == first, "made twice it is the same cluster"
    assert await provider.status(other) is None, "a claim made anew has nothing of the old one"
    await provider.delete(other)
    assert await provider.status(wish) == first, "what another claim destroys is not ours"
    more = Wish(cluster=wish.cluster, uid=wish.uid, nodes=2)
    for size in (more, wish):
        await provider.scale(size)
        await provider.scale(size)
        scaled = await provider.status(size)
        assert scaled is not None and (scaled.uid, scaled.nodes) == (first.uid, size.nodes)
    await provider.delete(wish)
    await provider.delete(wish)
    assert await provider.status(wish) is None
