"""An explanation stays small, whatever it explains."""

from afterglow.collection.read.explanation import MAX_ENTRIES, Explanation, GroupStep, KnnSteps, Method, SearchSteps


def test_a_large_explanation_is_cut_and_its_verdict_is_not() -> None:
    explanation, search = Explanation(), SearchSteps()
    scans = [GroupStep(1, 1, None, Method.SCAN)] * 600
    explanation.knn(search, KnnSteps("#embedding", 1, 1, scans))
    before = explanation.may_lose_recall
    explanation.knn(search, KnnSteps("#embedding", 1, 1, [*scans, GroupStep(1, 1, Method.GRAPH, Method.GRAPH)]))
    assert (before, explanation.may_lose_recall) == (False, True)
    listed = sum(1 + len(knn.groups) for knn in search.neighbors)
    assert listed == MAX_ENTRIES
    assert explanation.left_out == 1 + 600 + 1 + 601 - MAX_ENTRIES
