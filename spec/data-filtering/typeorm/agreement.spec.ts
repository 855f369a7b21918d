import { itLists } from '../support/acceptance.js';
import { itAgrees } from '../support/agreement.js';
import { TypeormStore } from '../support/typeorm-store.js';

itLists(new TypeormStore());
itAgrees(new TypeormStore());
