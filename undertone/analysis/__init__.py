"""Layer-wise analyses, and the one table that names them.

An analysis is a function of `curves.Material`, what one pass over the clips leaves behind, that yields `LayerScore` rows.
"""

ANALYSES = {
    "probe": "undertone.analysis.curves:probes",
    "intent": "undertone.analysis.curves:intent",
    "similarity": "undertone.analysis.curves:similarities",
    "logit-lens": "undertone.analysis.curves:logit_lens",
    "patching": "undertone.analysis.curves:patching",
}
