"""The heads that LCNet is compared with, each from its paper, on the same image tokens.

| setting       | paper                                | what it does                             |
|---------------|--------------------------------------|------------------------------------------|
| `gap`         | He et al. 2016; ASL's baseline       | mean of the tokens, one linear layer     |
| `csra`        | Zhu and Wu 2021, arXiv 2108.02456    | mean plus attention pooling per label    |
| `ml_gcn`      | Chen et al. 2019, arXiv 1904.03582   | label vectors from a graph, max pooling  |
| `query2label` | Liu et al. 2021, arXiv 2107.10834    | transformer with a query per label       |
| `ml_decoder`  | Ridnik et al. 2021, arXiv 2111.12933 | one decoder layer with a query per group |

A head's sizes are those of its paper. No flag changes them; only the shapes in a published
checkpoint do.
"""
