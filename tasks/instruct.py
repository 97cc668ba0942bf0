"""Instruction sets: a causal model is trained to write the responses, and scored on other tasks.

Papers: Taori et al.: Stanford Alpaca: An Instruction-following LLaMA model, 2023, https://github.com/tatsu-lab/stanford_alpaca;
        the cleaned rows: https://github.com/gururise/AlpacaDataCleaned. GOFT trains LLaMA on them and scores MMLU.
Data:   https://huggingface.co/datasets/yahma/alpaca-cleaned

Prompt: ``tasks/prompts/instruct.yaml``: headings for instruction, input (where there is one) and response, and the
        response is trained on. Alpaca's own sentence before the headings is left out.
Use:    there is no split to be scored on: ``{train: instruct/alpaca, score: [mmlu/all]}``. Validation rows are drawn
        from train, and tell the loss and how many responses the model would write to the letter; choose the best epoch
        by ``training.select: loss``.
Others: a set with other column names is a YAML task with its own ``lm_eval`` file.
"""

CARDS = [
    {
        "name": "instruct/alpaca",
        "title": "Alpaca, cleaned: 52 thousand instructions with their responses",
        "paper": "Taori et al.: Stanford Alpaca: An Instruction-following LLaMA model, 2023",
        "url": "https://github.com/tatsu-lab/stanford_alpaca",
        "year": 2023,
        "licence": "CC BY-NC 4.0 at its first source; CC BY 4.0 as published cleaned",
        "version": 1,
        "source": {
            "hub": "yahma/alpaca-cleaned",
            "config": "default",
            "revision": "12567cabf869d7c92e573c7c783905fc160e9639",
            "splits": {"train": "train"},
        },
        "columns": {"instruction": "instruction", "input": "input", "response": "output"},
        "sizes": {"train": 51760},
        "metric": {"name": "mean.acc", "higher_is_better": True, "unit": "%", "chance": 0.0, "ceiling": 1.0},
        "protocols": ["prompt"],
        "options": {"lm_eval": "shipped:instruct"},
    },
]
