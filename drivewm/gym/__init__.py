"""Scenarios as Gymnasium environments: ``gymnasium.make("drivewm.gym:drivewm/Scenario-v0", scenario="cut_in.motorway")``.

Gymnasium 1 looks for environments in no entry points; the module before the colon is what it imports. After `import drivewm.gym`
the name alone will do: ``gymnasium.make("drivewm/Scenario-v0")``, ``gymnasium.make_vec("drivewm/Scenario-v0", num_envs=8)``.
"""

from drivewm.errors import InputError

try:
    from gymnasium.envs.registration import register, registry
except ModuleNotFoundError as error:
    raise InputError("gymnasium is not installed", hint="pip install 'drivewm[rl]'") from error

ENV_ID = "drivewm/Scenario-v0"

if ENV_ID not in registry:
    register(ENV_ID, entry_point="drivewm.gym.single:ScenarioEnv", vector_entry_point="drivewm.gym.vector:ScenarioVectorEnv")
