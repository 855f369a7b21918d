// Requests per second of one route, unprotected and protected, as ratios to the unprotected one of the same round.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { median, table } from './report.js';
import { VARIANTS, type Variant } from './server.js';

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SECONDS = Number(process.env.SECONDS ?? 3);
/** Until V8 has optimized what runs: a route that has just been started takes several times as long. */
const WARM_UP_SECONDS = 3;

/** Serves a variant in a process of its own, so that server and load have a core each. */
async function requestsPerSecond(variant: Variant): Promise<number> {
  const server = fork(fileURLToPath(new URL('./server.js', import.meta.url)), [variant]);
  const [url] = (await once(server, 'message')) as [string];
  await autocannon({ url, connections: 20, duration: WARM_UP_SECONDS });
  const { requests, non2xx, errors } = await autocannon({ url, connections: 20, duration: SECONDS });
  server.kill();
  await once(server, 'exit');
  if (non2xx > 0 || errors > 0)
    throw new Error(`${variant}: ${non2xx} answers were no success, ${errors} failed`);
  return requests.average;
}

const rates = new Map<Variant, number[]>(VARIANTS.map(variant => [variant, []]));
const ratios = new Map<Variant, number[]>(VARIANTS.map(variant => [variant, []]));
for (let round = 0; round < ROUNDS; round++) {
  let bare = 0;
  // Alternating, so that what else the machine does falls on all of them.
  for (const variant of VARIANTS) {
    const rate = await requestsPerSecond(variant);
    if (variant === 'bare route') bare = rate;
    rates.get(variant)?.push(rate);
    ratios.get(variant)?.push(rate / bare);
  }
}

table(
  `HTTP, median of ${ROUNDS} alternating rounds of ${SECONDS} s`,
  ['route', 'requests/s', 'ratio to bare', 'all rounds'],
  VARIANTS.map(variant => {
    const all = ratios.get(variant) ?? [];
    return [
      variant,
      median(rates.get(variant) ?? []).toFixed(0),
      median(all).toFixed(3),
      all.map(ratio => ratio.toFixed(2)).join(' '),
    ];
  }),
);
