"""Imports all modules of provider packages and asks each package's hooks for their forms. Prints JSON.

Arguments: the packages as modules are named, `common.sql`. Each answer has all its modules, those that cannot be
imported with the reason, and the types of connections with what their hook says about its form.
"""

import importlib
import json
import pkgutil
import sys
import warnings

from airflow.providers_manager import ProvidersManager

from tradewind.authoring.provider_packages import hook_class

LEFT_OUT = ("example_dags", "get_provider_info")


def modules_of(package, failed):
    found = []
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if info.name.endswith(LEFT_OUT):
            continue
        found.append(info.name)
        try:
            module = importlib.import_module(info.name)
        except Exception as error:
            failed[info.name] = f"{type(error).__name__}: {error}"
            continue
        if info.ispkg:
            found += modules_of(module, failed)
    return found


def forms_of(package_name):
    forms = {}
    described = ProvidersManager().providers[package_name]
    for kind in described.get("connection-types", ()):
        name = kind["connection-type"]
        try:
            hook = hook_class(name)
            asked = getattr(hook, "get_ui_field_behaviour", dict)()
            forms[name] = sorted(asked.get("relabeling", {}))
        except Exception as error:
            forms[name] = f"{type(error).__name__}: {error}"
    return forms


warnings.simplefilter("ignore")
answer = {}
for name in sys.argv[1:]:
    root = f"airflow.providers.{name}"
    failed = {}
    modules = modules_of(importlib.import_module(root), failed)
    answer[name] = {
        "modules": sorted(module.removeprefix(f"{root}.") for module in modules),
        "failed": {module.removeprefix(f"{root}."): reason for module, reason in failed.items()},
        "forms": forms_of(f"apache-airflow-providers-{name.replace('.', '-')}"),
    }
print(json.dumps(answer))
