import 'reflect-metadata';
import { install } from './seam.js';

export {
  Authorize,
  AuthorizedResource,
  type ControllerDecorator,
  CurrentActor,
  type ParameterDecorator,
  SkipAuthorization,
} from './decorators.js';

install();
