"""The values that the paper reports (Mänttäri et al., ACCV 2020, tables 1, 3 and 4), for studies of its datasets."""

# By the name of tfvid's dataset, then by the name of the model as in `published`. Means ± standard deviations over the
# clips; F1 values are macro averages.
PUBLISHED: dict[str, dict[str, dict[str, str]]] = {
    "something": {
        "i3d": {
            "f1": "0.43",
            "f1_top_5": "0.73",
            "reversed_f1": "0.09",
            "reversed_f1_top_5": "0.27",
            "blob_count": "1.6 ± 0.97",
            "blob_size": "33.7 ± 19.6",
            "centre_distance": "54.4 ± 33.6",
            "mask_length": "6.2 ± 3.3",
            "drop_ratio": "8.4 ± 47",
            "drop_difference": "0.2 ± 0.3",
        },
        "clstm": {
            "f1": "0.23",
            "f1_top_5": "0.48",
            "reversed_f1": "0.05",
            "reversed_f1_top_5": "0.17",
            "blob_count": "3.6 ± 1.9",
            "blob_size": "26.7 ± 24.5",
            "centre_distance": "96.8 ± 34.9",
            "mask_length": "9.9 ± 4.1",
            "drop_ratio": "2.6 ± 6.9",
            "drop_difference": "0.08 ± 0.2",
        },
    },
    "kth": {
        "i3d": {
            "f1": "0.86",
            "reversed_f1": "0.80",
            "blob_count": "1.1 ± 0.5",
            "blob_size": "44.0 ± 18.7",
            "centre_distance": "44.6 ± 19.4",
            "mask_length": "10.6 ± 8.5",
            "drop_ratio": "81.4 ± 174",
            "drop_difference": "0.57 ± 0.34",
        },
        "clstm": {
            "f1": "0.84",
            "reversed_f1": "0.78",
            "blob_count": "32.6 ± 15.1",
            "blob_size": "5.8 ± 7.0",
            "centre_distance": "49.9 ± 22.4",
            "mask_length": "15.2 ± 5.7",
            "drop_ratio": "17.4 ± 45.2",
            "drop_difference": "0.22 ± 0.18",
        },
    },
}


def published(dataset: str, group: str) -> dict[str, str]:
    """Returns the paper's values by measure; {} if it has none.

    Args:
      dataset: name of tfvid's dataset.
      group: name of the group, which must be the name of the paper's model, e.g. "I3D" or "C-LSTM".
    """
    name = "".join(character for character in group.lower() if character.isalnum())
    name = {"convlstm": "clstm"}.get(name, name)
    return PUBLISHED.get(dataset, {}).get(name, {})
