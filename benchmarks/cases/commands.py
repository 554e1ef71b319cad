"""What commands cost that run no workflow themselves."""

from __future__ import annotations

from benchmarks.registry import Figure, benchmark
from benchmarks.workspace import Bench

READS_BUDGET = 0.15
POSTGRES_READS_BUDGET = 0.25


@benchmark("help")
def help_text(bench: Bench) -> list[Figure]:
    """`kurt --help` against an interpreter that does nothing."""
    found = bench.in_turn({"kurt": bench.measure("--help"), "python": bench.measure_python("-c", "pass")})
    return [
        Figure(
            what="`kurt --help`, CPU",
            value=found["kurt"].cpu / found["python"].cpu,
            unit="x",
            budget=6,
            against="`python -c pass`",
            detail={"kurt_cpu_s": found["kurt"].cpu, "python_cpu_s": found["python"].cpu},
        )
    ]


@benchmark("import-core")
def import_core(bench: Bench) -> list[Figure]:
    """`import kurt.core` against an interpreter that does nothing."""
    found = bench.in_turn(
        {
            "core": bench.measure_python("-c", "import kurt.core"),
            "python": bench.measure_python("-c", "pass"),
        }
    )
    return [
        Figure(
            what="`import kurt.core`, CPU",
            value=found["core"].cpu / found["python"].cpu,
            unit="x",
            budget=3,
            against="`python -c pass`",
            detail={"core_cpu_s": found["core"].cpu, "python_cpu_s": found["python"].cpu},
        )
    ]


@benchmark("reads")
def reads(bench: Bench) -> list[Figure]:
    """The commands that look at runs."""
    run = bench.json("workflows", "run", bench.steps_file(10))["run_id"]
    commands = {
        "workflows list": ("workflows", "list"),
        "workflows status": ("workflows", "status", run),
        "workflows steps": ("workflows", "steps", run),
        "workflows logs": ("workflows", "logs", run),
    }
    found = bench.in_turn({name: bench.measure(*argv) for name, argv in commands.items()})
    return [
        Figure(
            what=f"`kurt {name}`, CPU",
            value=sample.cpu,
            unit="s",
            budget=POSTGRES_READS_BUDGET if "DATABASE_URL" in bench.environ else READS_BUDGET,
            detail={"wall_s": sample.wall},
        )
        for name, sample in found.items()
    ]


@benchmark("background")
def background(bench: Bench) -> list[Figure]:
    """`--background` with a worker up, against importing DBOS."""
    file = bench.steps_file(1)
    with bench.worker():
        found = bench.in_turn(
            {
                "kurt": bench.measure("workflows", "run", file, "--background"),
                "dbos": bench.measure_python("-c", "import dbos"),
            }
        )
    detail = {"kurt_wall_s": found["kurt"].wall, "import_wall_s": found["dbos"].wall}
    return [
        Figure(
            what="`--background` returns, wall",
            value=found["kurt"].wall / found["dbos"].wall,
            unit="x",
            budget=1.3,
            against='`python -c "import dbos"`',
            detail=detail,
        ),
        Figure(
            what="`--background` returns, wall", value=found["kurt"].wall, unit="s", budget=0.7, detail=detail
        ),
    ]
