"""The report of a small study, for tests of its page."""


def report(clips: dict, groups: dict, title="A study") -> dict:
    """A report.

    Args:
      clips: by id, the mask length of each model, in the order of `groups`.
      groups: names of the models by group.
      title: of the page.
    """
    return {
        "version": 1,
        "title": title,
        "dataset": {"name": "shapes", "split": "validation", "clips": len(clips)},
        "groups": [{"name": name, "models": list(models)} for name, models in groups.items()],
        "tables": [
            {
                "id": "table_1",
                "title": "Table 1",
                "caption": "F1.",
                "csv": "tables/table_1.csv",
                "columns": [{"key": "model", "title": "model", "unit": "", "digits": 0}],
                "rows": [{"model": "I3D"}],
            }
        ],
        "histograms": [
            {
                "measure": "mask_length",
                "title": "mask length",
                "unit": "frames",
                "edges": [0.0, 4.0, 8.0],
                "groups": {name: [0.125, 0.125] for name in groups},
                "n": dict.fromkeys(groups, 2),
                "left_out": dict.fromkeys(groups, 0),
            }
        ],
        "findings": [{"question": "Shorter masks?", "answer": "Yes.", "holds": True}],
        "notes": ["A note."],
        "clips": {
            model: {clip: {"mask_length": lengths[index]} for clip, lengths in clips.items()}
            for index, model in enumerate(model for models in groups.values() for model in models)
        },
        "manifest": {"weights": "ab12"},
    }
