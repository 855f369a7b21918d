import { KwargsError } from '../../engine/oso-internals.js';
import { NotCovered } from '../errors.js';
import { isThenable } from '../values/host.js';
import { deref, Instance, LogicVariable, UNMADE } from '../values/values.js';
import type { Build, Machine, PlaceOf, Step } from './machine.js';
import { unify } from './unify.js';

/** `new Class(…)`. Oso makes the instance after its variable is bound, and knows it as made by the policy. */
export function make(
  className: string,
  buildArgs: readonly Build[],
  named: boolean,
  buildResult: Build,
  placeOf: PlaceOf,
  next: Step,
): Step {
  return machine => {
    const result = buildResult(machine.frame);
    const variable = deref(result);
    if (!(variable instanceof LogicVariable) || variable.waiting !== undefined) {
      // Oso would compare the instance before it is made.
      throw new NotCovered('"new" for a variable with a value or with conditions', undefined);
    }
    const instance = new Instance(UNMADE, true);
    return unify(machine, result, instance, after => {
      if (named) throw new KwargsError();
      return construct(after, className, buildArgs, instance, placeOf, next);
    });
  };
}

function construct(
  machine: Machine,
  className: string,
  buildArgs: readonly Build[],
  instance: Instance,
  placeOf: PlaceOf,
  next: Step,
): Step {
  const { cls } = machine.host.requireClass(className);
  const args = NotCovered.at(placeOf, () => buildArgs.map(build => machine.toJs(build(machine.frame))));
  if (args.some(isThenable)) {
    return machine.suspend(Promise.all(args), known => {
      instance.value = new cls(...(known as unknown[]));
      return next;
    });
  }
  instance.value = new cls(...args);
  return next;
}
