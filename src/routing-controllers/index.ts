import 'reflect-metadata';
import { install } from './patches.js';

export {
  Authorize,
  AuthorizedQuery,
  AuthorizedResource,
  AuthorizedResources,
  type ControllerDecorator,
  CurrentActor,
  type ParameterDecorator,
  SkipAuthorization,
} from './decorators.js';

install();
