"""Benchmarks, one a file, and the one table that names them: what is asked, and how replies and verdicts become `Score` rows."""

SUITES = {
    "pa": "undertone.evaluation.suites.pa:PA",
    "child_safety": "undertone.evaluation.suites.child_safety:ChildSafety",
    "voicebench": "undertone.evaluation.suites.voicebench:VoiceBench",
    "sd_eval": "undertone.evaluation.suites.sd_eval:SDEval",
    "styletalk": "undertone.evaluation.suites.styletalk:StyleTalk",
    "conflict": "undertone.evaluation.suites.conflict:Conflict",
    "voxparadox": "undertone.evaluation.suites.voxparadox:VoxParadox",
    "ser": "undertone.evaluation.suites.ser:SER",
    "leakage": "undertone.evaluation.suites.leakage:Leakage",
    "judge-check": "undertone.evaluation.suites.judge_check:JudgeCheck",
}
