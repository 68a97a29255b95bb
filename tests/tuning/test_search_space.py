"""The choices of a search: the recipe itself, what suits it, and recipes made of choices."""

import pytest

from hubtune.errors import UsageError
from hubtune.recipe.load import dump_recipe, load_recipe, make_recipe
from hubtune.tuning.search_space import Choice, apply_choice, make_search_space


def recipe(*overrides, **sections):
    return make_recipe({"data": {"base": "pics"}, "module": "digitnet", **sections}, list(overrides))


def space(given, wanted=None, **facts):
    facts = {"pretrained": True, "stages": 5, "has_validation": True, **facts}
    return make_search_space(given, wanted, **facts)


def test_the_recipe_itself_frozen_and_the_recipe_with_other_strategies_are_first():
    found = space(recipe("train.augment=flip", "train.learning_rate=0.003"))
    own, frozen, from_frozen, *more = found.first
    assert own == Choice("default_finetune", 0.003, "flip")
    assert (frozen, from_frozen) == (Choice("frozen"), Choice("from_frozen", 0.003, "flip"))
    assert Choice("last_stage", 0.003) in more
    assert len(found.first) == len(set(found.first)) == 7
    others = "from_frozen default_finetune last_stage l2sp ulmfit adam_weight_decay"
    assert found.strategies == others.split()
    assert found.rates == (1e-5, 1e-2)
    assert found.augments == ["none", "flip", "standard", "strong"]
    first = space(recipe("train.augment=flip", strategy="frozen")).first
    assert first[:2] == [Choice("frozen"), Choice("from_frozen", 1e-4, "flip")]
    assert Choice("last_stage", 1e-5) in first


def test_rates_suit_the_optimiser_and_include_the_recipes_own():
    assert space(recipe(strategy="last_stage")).first[0] == Choice("last_stage", 1e-5)
    assert space(recipe(strategy={"name": "l2sp", "learning_rate": 0.5})).first[0].learning_rate == 0.5
    assert space(recipe("train.learning_rate=1e-7", "train.optimizer=adamw")).rates == (1e-7, 1e-2)
    assert space(recipe("train.optimizer=momentum"), ["l2sp"]).rates == (1e-4, 1.0)
    auto = space(recipe("train.learning_rate=auto"))
    assert (auto.rates, auto.first[0].learning_rate) == (None, "auto")


NO_FIT = [
    ([], {}, "scratch", "scratch does not go with this recipe: it needs module.weights=none"),
    ([], {"pretrained": False}, "frozen", "frozen does not go with this recipe: it needs pretrained"),
    (["train.hidden_units=[8]"], {}, "from_frozen", "it solves a linear head, and there are hidden_units"),
    ([], {"has_validation": False}, "from_frozen", "it needs a validation list, on which it is compared"),
    ([], {"stages": 2}, "last_stage", "the module has a single stage"),
    (["strategy=from_frozen"], {"has_validation": False}, "l2sp", "Strategy from_frozen does not go"),
    ([], {}, "frozn", "There is no strategy 'frozn' to try: frozen, from_frozen, default_finetune, "),
    ([], {}, "frozn", "Did you mean 'frozen'?"),
]


@pytest.mark.parametrize(("overrides", "facts", "wanted", "message"), NO_FIT)
def test_a_strategy_that_does_not_fit_is_refused_with_the_reason(overrides, facts, wanted, message):
    with pytest.raises(UsageError) as error:
        space(recipe(*overrides), [wanted], **facts)
    assert message in str(error.value)


def test_what_does_not_fit_is_left_out_and_named_strategies_leave_the_first_trials():
    found = space(recipe("train.hidden_units=[8]"))
    assert {choice.strategy for choice in found.first} == {*found.strategies}
    assert found.strategies == ["default_finetune", "l2sp", "ulmfit", "adam_weight_decay"]
    scratch = space(recipe(strategy="scratch"), pretrained=False)
    assert scratch.first == [Choice("scratch", 1e-3, "none"), Choice("adam_weight_decay", 1e-4, "none")]
    assert scratch.strategies == ["adam_weight_decay", "scratch"]
    narrow = space(recipe(strategy="l2sp"), ["from_frozen"])
    assert [choice.strategy for choice in narrow.first] == ["l2sp", "frozen", "from_frozen"]
    assert narrow.strategies == ["from_frozen"]


def test_a_choice_becomes_a_recipe_that_can_be_read_again(tmp_path):
    strategy = {"name": "l2sp", "regularization_coeff": 0.5, "learning_rate": 0.01}
    given = recipe("train.epochs=7", strategy=strategy)
    choices = [Choice("default_finetune", 1e-4, "none"), Choice("frozen"), Choice("last_stage", 1e-5)]
    for choice in [*choices, Choice("l2sp", 3e-4, "strong")]:
        found = apply_choice(given, choice, pretrained=True)
        file = tmp_path / "best.yaml"
        file.write_text(dump_recipe(found), encoding="utf-8")
        assert load_recipe(file) == found
        assert (found.strategy.name, found.train.epochs, found.data) == (choice.strategy, 7, given.data)
        assert space(found).first[0] == choice
    assert found.strategy.regularization_coeff == 0.5
    assert apply_choice(given, choices[0], pretrained=False).module.weights == "none"
    # An augmentation that is no preset can be tried, too.
    given = recipe(train={"augment": {"rotate": 20}})
    assert space(given).augments[-1] == space(given).first[0].augment == "the recipe's"
    tried = apply_choice(given, Choice("l2sp", 1e-3, "the recipe's"), pretrained=True)
    assert tried.train.augment == given.train.augment
