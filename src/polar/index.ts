export { RefusedValueError } from '../guard/limits.js';
export type { Batch } from './batch.js';
export {
  CompiledOso,
  type CompiledOsoOptions,
  type ExplainOptions,
  type Fallback,
  type FallbackCount,
} from './compiled-oso.js';
export {
  type PolarErrorCode,
  PolicyBudgetError,
  PolicyError,
  type PolicyPlace,
  UnregisteredClassError,
} from './errors.js';
export type { Budget } from './evaluate/machine.js';
export type { Explanation, WhyNode, WhyWay } from './explain/explanation.js';
export type { ShownValues } from './explain/show.js';
export type { Reason } from './explain/source-lines.js';
export type { Observation, Observer, PolicyRange, Question } from './observe.js';
export type { Place } from './syntax/source.js';
