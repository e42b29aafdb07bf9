"""Benchmarks, one a file, and the one table that names them: what is asked, and how replies and verdicts become `Score` rows."""

SUITES = {
    "voicebench": "undertone.evaluation.suites.voicebench:VoiceBench",
}
