"""DROP: questions on a passage whose answer takes counting, sorting or arithmetic over what it says.

Paper: Dua, Wang, Dasigi, Stanovsky, Singh, Gardner: DROP: A Reading Comprehension Benchmark Requiring Discrete
       Reasoning Over Paragraphs, 2019, https://aclanthology.org/N19-1246
Data:  https://huggingface.co/datasets/ucinlp/drop

Splits:   the labels of the official test split are hidden, so the official development split is the evaluation split.
Clusters: the questions on one passage (``section_id``).
Prompt:   ``tasks/prompts/drop.yaml``: passage and question on lines of their own; the answer, at most 50 tokens, ends
          with its line. lm-eval's own ``drop`` reads another copy of the data, which has other columns.
Metrics:  F1 and exact match of the official script; SQuAD's F1 beside them, which the random-masking paper reports.

Every text of ``answers_spans.spans`` is an accepted answer. Chance is what the best constant answer, "2", reaches on
all 9,536 development questions of the original file.
"""

CARDS = [
    {
        "name": "drop/all",
        "title": "DROP, Discrete Reasoning Over Paragraphs: count, sort or compute what a passage says",
        "paper": "Dua, Wang, Dasigi, Stanovsky, Singh, Gardner: DROP, a Reading Comprehension Benchmark, 2019",
        "url": "https://aclanthology.org/N19-1246",
        "year": 2019,
        "licence": "CC BY-SA 4.0",
        "version": 1,
        "source": {
            "hub": "ucinlp/drop",
            "config": "default",
            "revision": "95cda593fae71b60b5b19f82de3fcf3298c1239c",
        },
        "columns": {"passage": "passage", "question": "question", "answers": "answers_spans.spans"},
        "cluster": "section_id",
        "sizes": {"train": 77400, "evaluation": 9535},
        "metric": {"name": "drop.f1", "higher_is_better": True, "unit": "%", "chance": 0.0729, "ceiling": 1.0},
        "also": ["drop.em", "squad.f1"],
        "protocols": ["prompt"],
        "options": {"lm_eval": "shipped:drop"},
    },
]
