"""Audits a model on a data set: what it needs to be right, and whether a shortcut would do.

tfvid.audit(model, dataset, out)     or     tfvid audit --model M --data D --out F

flow            runs all parts and continues a run that was stopped
scene           what moves in a clip, and its still background
interventions   the changes of clips: reversed, one frame repeated, background swapped, ...
predictions     the answers to every clip under every intervention, in Parquet
properties      file size, frame rate, brightness, ...: what should not matter, in Parquet
explanations    masks and maps of some clips, in Parquet; films of confusions
effects         accuracy under each intervention, with intervals and tests
motion          the share of a class's score that motion carries
shortcuts       whether a property predicts the model's answer better than the label does
sources         whether the source of a clip gives its class away
regions         when and where, by class; typical and odd clips
quantities      the numbers with their names
tables, findings, page, report
confusions      the confusions with most clips
conditions      ``top1 < 0.80``, parsed
check           two audits compared; JUnit XML and Markdown
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
