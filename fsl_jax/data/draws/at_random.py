"""Draw K examples at random, for answers that are no classes."""

from fsl_jax.data.draws.sides import checked_generator, remedy, removed_sentence, sides
from fsl_jax.data.examples import Dataset, Split
from fsl_jax.errors import problems_error


def draw_at_random(dataset: Dataset, shots: int, seed: int) -> Split:
    """Draw K examples to train on and K others to validate on, from other groups.

    Args:
      dataset: the data set.
      shots: K, at least 1: the number of all examples in each of the two parts.
      seed: not negative; the same seed gives the same split, and more shots begin with the same
        examples to train on.

    Returns:
      The split.

    Raises:
      InputError: there are too few examples.
    """
    generator = checked_generator(shots, seed)
    pools = sides(dataset, generator)
    if pools is None:
        _check_enough(dataset, {"train": (len(dataset.train), 2 * shots)}, shots)
        order = generator.permutation(len(dataset.train))
        # From both ends, so that the number of shots does not move an example to the other part.
        drawn = [[dataset.train[i] for i in part[:shots]] for part in (order, order[::-1])]
    else:
        names = ("train", "validation")
        if not dataset.validation:
            names = ("the groups to train on", "the groups to validate on")
        sizes = {name: (len(pool), shots) for name, pool in zip(names, pools, strict=True)}
        _check_enough(dataset, sizes, shots)
        drawn = [[pool[i] for i in generator.permutation(len(pool))[:shots]] for pool in pools]
    return Split(seed, shots, tuple(drawn[0]), tuple(drawn[1]))


def _check_enough(dataset: Dataset, sizes: dict[str, tuple[int, int]], shots: int) -> None:
    problems = [
        f"there are {size} examples in {name}, {needed} are needed"
        for name, (size, needed) in sizes.items()
        if size < needed
    ]
    if problems:
        most = min(size * shots // needed for size, needed in sizes.values())
        raise problems_error(
            f"{dataset.name}: too few examples for {shots} shots to train on and {shots} others to "
            f"validate on. {removed_sentence(dataset)}{remedy(most)}",
            problems,
        )
