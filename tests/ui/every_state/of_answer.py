# SPDX-License-Identifier: Apache-2.0
"""Checks of what is asked of the model and of its answer."""

from dataclasses import fields
from typing import Any

import numpy as np
from known import Asked

from every_state.seen import Seen, belongs, every, negative, of, same_scores
from viewer import affine, explain, overlay
from viewer.overlay import ranks
from viewer.types import Attribution, DerivedMap, Map, Sweep
from viewer.ui.presenter.evidence import volume_profile
from viewer.ui.presenter.running import baseline_images, leading
from viewer.ui.state import (
    NOWHERE,
    AnswerState,
    Cell,
    Compared,
    MethodItem,
    ModelItem,
    RequestState,
    SearchSize,
    Side,
    Tile,
    shows,
)


@of(RequestState, "target", "against")
def _target(seen: Seen, request: RequestState) -> None:
    model = seen.state.answer.model
    labels = (None,) if model is None else (None, *model.labels)
    assert request.target in labels
    assert request.against in labels
    assert request.against is None or request.against != request.target


@of(RequestState, "method", "settings")
def _method(seen: Seen, request: RequestState) -> None:
    item = seen.state.chosen_method
    assert (item is None) == (seen.state.answer.model is None)
    assert set(request.settings) <= set(() if item is None else item.settings)


@of(RequestState, "layer")
def _layer(seen: Seen, request: RequestState) -> None:
    model = seen.state.answer.model
    assert request.layer is None or request.layer in (*model.layers, *model.stages)


@of(RequestState, "within")
def _within(seen: Seen, request: RequestState) -> None:
    region = seen.state.region
    assert region is None or (region.source == request.within and region.series is seen.state.view.series)


@of(RequestState, "placed", "swept")
def _placed(seen: Seen, request: RequestState) -> None:
    item, series = seen.state.answer.model, seen.state.view.series
    if request.placed is None and request.swept is None:
        return
    assert series is not None
    assert item is not None
    assert item.patch is not None
    if request.placed is not None:
        most = series.shape[3 - len(request.placed) :]
        assert all(0 <= i < n for i, n in zip(request.placed, most, strict=True))


@of(RequestState, "reference")
def _kept(seen: Seen, request: RequestState) -> None:
    if request.reference is None:
        return
    model = seen.state.answer.model
    assert request.reference[0] is model
    assert request.reference[1].method in {m.name for m in model.methods}
    assert {request.reference[2], request.reference[3]} <= {None, *model.labels}


@of(RequestState, "patch")
def _patch(seen: Seen, request: RequestState) -> None:
    item, state = seen.state.answer.model, seen.state
    shut = state.answer.gate == "outside"
    if seen.series is None or item is None or item.patch is None or shut:
        assert request.patch is None
    elif isinstance(state.at, Sweep):
        shown = state.answer.attribution
        best = () if shown is None or shown.swept is None else shown.swept.best
        assert request.patch is (best[min(request.best, len(best) - 1)].field if best else None)
    else:
        wanted = seen.model.field(seen.known.series(seen.series), seen.place, state.at)
        np.testing.assert_array_equal(request.patch.matrix, wanted.matrix)
        assert request.patch.shape == wanted.shape


@of(RequestState, "searched")
def _searched(seen: Seen, request: RequestState) -> None:
    """Where the box lies that is swept, voxel by voxel; nothing of any other sweep."""
    if request.searched is None:
        assert request.box is None or seen.series is None or not _reads(seen)
        return
    first, last = request.box
    corners = affine.apply(request.searched.matrix, [(0, 0, 0), [n - 1 for n in request.searched.shape]])
    np.testing.assert_array_equal(corners, [first, last])


def _reads(seen: Seen) -> bool:
    item = seen.state.answer.model
    return item is not None and item.patch is not None and seen.state.answer.gate != "outside"


@of(RequestState, "best")
def _best(seen: Seen, request: RequestState) -> None:
    assert request.best >= 0
    assert request.best == 0 or request.swept is not None


@of(RequestState, "search")
def _search(seen: Seen, request: RequestState) -> None:
    """The blocks of the sweep that is wished for, of this model over this series; none of a single one."""
    at, item = seen.state.at, seen.state.answer.model
    if (
        not isinstance(at, Sweep)
        or at == NOWHERE
        or seen.series is None
        or item is None
        or seen.state.answer.gate == "outside"
    ):
        assert request.search is None
    elif request.search is not None:
        assert request.search.blocks == seen.model.blocks(seen.known.series(seen.series), at)
        every(seen, request.search)


@of(SearchSize, "blocks", "seconds")
def _size(seen: Seen, size: SearchSize) -> None:
    assert size.blocks > 0
    assert size.seconds is None or size.seconds > 0


@of(AnswerState, "model")
def _model(seen: Seen, answer: AnswerState) -> None:
    if answer.model is not None:
        every(seen, answer.model)


@of(ModelItem, "name", "sha256", "device", "labels", "volume", "patch")
def _model_facts(seen: Seen, item: ModelItem) -> None:
    model = seen.known.models[item.name]
    card = model.card.input
    assert (item.sha256, item.labels, item.device) == (model.sha256, model.labels, model.device_name)
    assert item.volume == (card.dimensions == 3)
    assert item.patch == (card.size if card.fit == "patch" else None)


@of(ModelItem, "remarks")
def _model_remarks(seen: Seen, item: ModelItem) -> None:
    model = seen.known.models[item.name]
    doubt = model.try_out().implausible
    assert item.remarks == (*model.remarks, *(() if doubt is None else (doubt,)))


@of(ModelItem, "layers", "stages")
def _model_layers(seen: Seen, item: ModelItem) -> None:
    model = seen.known.models[item.name]
    wanted = seen.known.once(
        ("layers", item.name), lambda: (tuple(explain.suggest(model)), tuple(explain.stages(model)))
    )
    assert (item.layers, item.stages) == wanted


@of(ModelItem, "methods")
def _model_methods(seen: Seen, item: ModelItem) -> None:
    seen.known.once(("methods", id(item)), lambda: [every(seen, one) for one in item.methods] and item)


@of(MethodItem, *(one.name for one in fields(MethodItem)))
def _method_item(seen: Seen, item: MethodItem) -> None:
    model = seen.model
    described = seen.known.once(
        ("described", model.name), lambda: {d["name"]: d for d in explain.describe(model)}
    )
    facts = described[item.name]
    for name in (
        "title",
        "family",
        "shows",
        "settings",
        "unsuitable",
        "target_dependent",
        "caution",
        "paper",
    ):
        assert getattr(item, name) == facts.get(name, getattr(MethodItem, name, getattr(item, name))), name
    for name in ("unit", "signed", "library"):
        assert name not in facts or getattr(item, name) == facts[name]
    assert all(text in item.cost for text in (facts.get("cost") or {}).values())
    assert set(item.hints) <= set(item.settings)


@of(AnswerState, "prediction")
def _prediction(seen: Seen, answer: AnswerState) -> None:
    found, shown = answer.prediction, answer.attribution
    if found is None:
        assert shown is None
        return
    assert seen.series is not None
    assert answer.gate != "outside"
    assert found.input.series is seen.state.view.series
    assert found.input.slice == seen.place
    assert found.override == seen.why_outside
    assert found.unknown == seen.why_unknown
    assert (found.model, found.weights) == (answer.model.name, answer.model.sha256)
    said = seen.said(seen.place, seen.state.at)
    wanted = leading(said)
    assert shown is None or any(found is one for one in shown.predictions)
    if shown is not None and shown.target is not None:
        wanted = max(said, key=lambda one: one.score(shown.target.label).logit)
    same_scores(found, wanted)
    if not isinstance(seen.state.at, Sweep):
        np.testing.assert_allclose(found.input.matrix, wanted.input.matrix)
        np.testing.assert_allclose(found.input.tensor.numpy(), wanted.input.tensor.numpy(), 1e-5, 1e-6)


@of(AnswerState, "profile")
def _profile(seen: Seen, answer: AnswerState) -> None:
    if not answer.profile:
        return
    series, state = seen.series, seen.state
    assert series is not None
    assert answer.gate != "outside"
    assert len(answer.profile) == series.shape[0]
    if answer.model.volume:
        assert answer.attribution is not None
        np.testing.assert_allclose(answer.profile, volume_profile(answer.attribution), 1e-5, 1e-7)
        return
    for slice, found in enumerate(answer.profile):
        if found is not None:
            wanted = leading(seen.said(slice, state.at_slice(slice))).score(state.request.target)
            assert abs(found - wanted.probability) < 1e-5, f"{found} of slice {slice} is not {wanted}"
    if answer.prediction is not None and state.request.target is not None and answer.attribution is None:
        here = answer.profile[state.view.slice]
        assert here is not None
        assert abs(here - answer.prediction.score(state.request.target).probability) < 1e-5


@of(AnswerState, "attribution")
def _attribution(seen: Seen, answer: AnswerState) -> None:
    if answer.attribution is not None:
        assert seen.series is not None
        assert answer.gate != "outside"
        belongs(seen, answer.attribution, seen.asked(), not answer.preview)


@of(AnswerState, "answers")
def _answers(seen: Seen, answer: AnswerState) -> None:
    assert (answer.answers is None) == (answer.attribution is None)


@of(AnswerState, "preview")
def _preview(seen: Seen, answer: AnswerState) -> None:
    assert not answer.preview or answer.attribution is not None


@of(AnswerState, "baselines")
def _baselines(seen: Seen, answer: AnswerState) -> None:
    wanted = () if answer.attribution is None else baseline_images(answer.attribution)
    assert len(answer.baselines) == len(wanted)
    for one, other in zip(answer.baselines, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@of(AnswerState, "layer_strip")
def _strip(seen: Seen, answer: AnswerState) -> None:
    if not answer.layer_strip:
        return
    assert answer.gate != "outside"
    for stage, tile in zip(answer.model.stages, answer.layer_strip, strict=True):
        if tile is not None:
            every(seen, tile)
            belongs(seen, tile.map, seen.asked(layer=stage))


@of(Tile, "map", "drawn", "style", "negative")
def _tile(seen: Seen, tile: Tile) -> None:
    view = seen.state.view
    assert tile.map.series is view.series
    assert tile.negative == negative(seen, tile.map)
    found = overlay.on_source(tile.map, view.slice, tile.style.interpolation)
    wanted = overlay.as_drawn(tile.map, found)
    if tile.drawn.shape == wanted.shape:
        np.testing.assert_allclose(tile.drawn, wanted, 1e-5, 1e-7)
    else:
        assert max(tile.drawn.shape) >= min(128, max(wanted.shape))


@of(AnswerState, "contact_sheet")
def _sheet(seen: Seen, answer: AnswerState) -> None:
    assert not answer.contact_sheet or (seen.state.views.layout == "sheet" and answer.gate != "outside")
    for cell in answer.contact_sheet:
        every(seen, cell)


@of(AnswerState, "contact_sheet_of")
def _contact_sheet_of(seen: Seen, answer: AnswerState) -> None:
    names = {c.name for c in answer.contact_sheet}
    if answer.contact_sheet_of == "labels":
        assert names <= set(() if answer.model is None else answer.model.labels)
    else:
        assert names <= {m.name for m in (answer.model.methods if answer.model else ()) if m.quick}


@of(Cell, "name", "title", "tile")
def _cell(seen: Seen, cell: Cell) -> None:
    answer = seen.state.answer
    labels = answer.contact_sheet_of == "labels"
    titles = {name: name for name in answer.model.labels} | {m.name: m.title for m in answer.model.methods}
    assert cell.title == titles[cell.name]
    if cell.tile is not None:
        every(seen, cell.tile)
        asked = seen.asked(target=cell.name) if labels else seen.asked(method=cell.name)
        belongs(seen, cell.tile.map, asked)


@of(Cell, "score")
def _cell_score(seen: Seen, cell: Cell) -> None:
    label = cell.name if seen.state.answer.contact_sheet_of == "labels" else seen.state.request.target
    if cell.score is not None:
        wanted = leading(seen.said(seen.place, seen.state.at)).score(label)
        assert cell.score.label == label
        assert abs(cell.score.probability - wanted.probability) < 1e-5


@of(Cell, "chosen")
def _cell_chosen(seen: Seen, cell: Cell) -> None:
    request = seen.state.request
    chosen = cell.name == request.method
    if seen.state.answer.contact_sheet_of == "labels":
        chosen = cell.name == request.target and request.against is None
    assert cell.chosen == chosen


@of(AnswerState, "compared")
def _compared(seen: Seen, answer: AnswerState) -> None:
    assert (answer.compared is not None) == (
        seen.state.views.layout == "compare"
        and answer.model is not None
        and seen.state.view.series is not None
    )
    if answer.compared is not None:
        every(seen, answer.compared)


def _kept_asked(seen: Seen) -> Asked:
    """What is asked for what was kept for comparison."""
    _, choice, label, against = seen.state.request.reference
    label = label or seen.state.request.target
    item = next(m for m in seen.state.answer.model.methods if m.name == choice.method)
    words = label if against is None else f"{label} − {against}"
    return Asked(
        choice.method, choice.settings, choice.layer, words if item.target_dependent else None, choice.within
    )


def _original(map: Map) -> Any:
    """The map that another one has the ranks of, or itself."""
    return map.parents[0] if isinstance(map, DerivedMap) else map


@of(Compared, "one")
def _one(seen: Seen, compared: Compared) -> None:
    every(seen, compared.one)
    if compared.one.map is not None:
        belongs(seen, _original(compared.one.map), _kept_asked(seen))


@of(Compared, "other")
def _other(seen: Seen, compared: Compared) -> None:
    every(seen, compared.other)
    if compared.other.map is not None:
        assert _original(compared.other.map) is seen.state.answer.attribution


@of(Compared, "difference")
def _difference(seen: Seen, compared: Compared) -> None:
    every(seen, compared.difference)
    found = compared.difference.map
    if found is not None:
        assert isinstance(found, DerivedMap)
        one, other = found.parents
        assert isinstance(one, Attribution)
        belongs(seen, one, _kept_asked(seen))
        assert other is seen.state.answer.attribution
        wanted = seen.known.once(
            ("difference", id(one), id(other)), lambda: (ranks.difference(one, other), one, other)
        )[0]
        np.testing.assert_array_equal(found.values, wanted.values)


@of(Compared, "ranks", "apart")
def _ranks(seen: Seen, compared: Compared) -> None:
    assert compared.ranks or not compared.apart
    for side in (compared.one, compared.other):
        assert side.map is None or isinstance(side.map, DerivedMap) == compared.ranks


@of(Side, "title", "target", "why")
def _side(seen: Seen, side: Side) -> None:
    assert side.title
    assert side.map is None or not side.why
    if isinstance(side.map, Attribution):
        assert side.title.startswith(side.map.explainer.title)
        assert side.map.target is None or side.target == side.map.target.words


@of(Side, "map", "drawn", "style")
def _side_map(seen: Seen, side: Side) -> None:
    assert (side.map is None) == (side.drawn is None)
    if side.map is not None:
        assert side.map.series is seen.state.view.series
        drawn = seen.known.on_slice(side.map, seen.state.view.slice, side.style.interpolation)
        np.testing.assert_array_equal(side.drawn, drawn)


@of(Side, "negative")
def _side_negative(seen: Seen, side: Side) -> None:
    if side.map is not None:
        parents = side.map.parents if isinstance(side.map, DerivedMap) else (side.map,)
        assert side.negative == any(negative(seen, one) for one in parents)
        assert not side.negative or seen.state.answer.asked


@of(AnswerState, "scoring")
def _scoring(seen: Seen, answer: AnswerState) -> None:
    """Scores are on their way only of what the model may be asked about, and of a place that there is."""
    if answer.scoring is not None and shows(seen.state, answer.scoring):
        assert answer.gate != "outside"
        assert not isinstance(seen.state.at, Sweep)


@of(AnswerState, "slow")
def _slow(seen: Seen, answer: AnswerState) -> None:
    there = () if answer.model is None else answer.model.methods
    assert answer.slow <= {item.name for item in there}


@of(AnswerState, "gate")
def _gate(seen: Seen, answer: AnswerState) -> None:
    below = negative(seen, answer.attribution)
    if answer.gate == "outside":
        assert seen.why_outside is not None
    else:
        assert not seen.refused
        assert answer.gate == ("negative" if below else "open")


@of(AnswerState, "asked")
def _asked(seen: Seen, answer: AnswerState) -> None:
    notice = seen.state.shell.notice
    assert not answer.asked or notice is None or notice.wish != "show"


@of(AnswerState, "unknown")
def _unknown(seen: Seen, answer: AnswerState) -> None:
    assert answer.unknown == seen.why_unknown


@of(AnswerState, "outside")
def _outside(seen: Seen, answer: AnswerState) -> None:
    assert answer.outside == seen.why_outside


@of(AnswerState, "checks")
def _checks(seen: Seen, answer: AnswerState) -> None:
    """Of the drawn map alone: no other was asked about."""
    shown = seen.state.finished
    assert shown is not None or not answer.checks
    for check in answer.checks:
        assert shown is not None
        assert (check.method, check.slice) == (shown.explainer.name, shown.slice)
        assert check.label == (None if shown.target is None else shown.target.words)


@of(AnswerState, "checking")
def _checking(seen: Seen, answer: AnswerState) -> None:
    """Only what is drawn and done can be under way."""
    assert not answer.checking or seen.state.finished is not None
