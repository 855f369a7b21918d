// biome-ignore-all lint/suspicious/noConsole: what it prints is the interface of a program that is run by hand
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createApp } from './app.js';
import { expenseOso } from './authorization.js';
import { openDatabase } from './database.js';
import { remindAll } from './reminders.js';
import { people } from './seed.js';

await openDatabase();
const koaOso = await expenseOso(undefined, { explain: true });
const app = createApp(koaOso);
app.on('explained', explanation => console.log(`\n${explanation}`));
const server = app.listen(Number(process.env.PORT ?? 3000));
await once(server, 'listening');

// Tonight's reminders come at once, so that there is something to see.
const reminded = await remindAll(koaOso);
const DAY = 24 * 60 * 60 * 1000;
setInterval(() => remindAll(koaOso).catch(error => app.emit('error', error)), DAY).unref();

const { port } = server.address() as AddressInfo;
const url = `http://localhost:${port}`;
const users = people.map(({ email, password, about }) => `  ${email}  ${password}  ${about}`);
const login = JSON.stringify({ email: 'mia@acme.example', password: 'mia-demo-password' });

console.log(`The expense tracker listens on ${url}

Who can log in:
${users.join('\n')}

Reminded: ${Object.entries(reminded)
  .map(([name, count]) => `${name} of ${count}`)
  .join(', ')}

Try:
  curl -s -c cookies.txt -H 'Content-Type: application/json' -d '${login}' ${url}/session
  curl -s -b cookies.txt ${url}/expenses/1
  curl -s -b cookies.txt -X POST ${url}/expenses/1/approve
  curl -s -b cookies.txt '${url}/expenses?sort=-amountInCents&perPage=1'
`);
