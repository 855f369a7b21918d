import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const MAIN = fileURLToPath(new URL('../../demo/main.js', import.meta.url));
const run = promisify(execFile);

describe('the demo, started by hand', () => {
  let demo: ChildProcessByStdio<null, Readable, null>;
  let printed = '';
  let directory: string;

  before(async function () {
    this.timeout(30_000);
    directory = await mkdtemp(join(tmpdir(), 'koa-oso-demo-'));
    demo = spawn(process.execPath, [MAIN], {
      cwd: directory,
      env: { ...process.env, PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    demo.stdout.setEncoding('utf8').on('data', chunk => {
      printed += chunk;
    });
    while (!printed.endsWith('\n\n')) await once(demo.stdout, 'data');
  });

  after(async () => {
    if (demo.kill()) await once(demo, 'exit');
    await rm(directory, { recursive: true });
  });

  function url(): string {
    return /^The expense tracker listens on (http:\/\/localhost:[1-9]\d*)$/m.exec(printed)?.[1] ?? '';
  }

  /** Runs a line as the reader of it would, in a shell; with the status of the answer put behind its body. */
  async function shell(line: string): Promise<{ body: unknown; status: string }> {
    const { stdout } = await run('sh', ['-c', `${line} -w '\\n%{http_code}'`], { cwd: directory });
    const [body = '', status = ''] = stdout.split('\n');
    return { body: JSON.parse(body), status };
  }

  it('prints where it listens', async () => {
    const response = await fetch(`${url()}/session`);
    expect(await response.json()).to.deep.equal({ user: null });
  });

  it('prints who can log in', async () => {
    const logins = [...printed.matchAll(/^ {2}(\S+@\S+) {2}(\S+) {2}\S/gm)];
    expect(logins.map(([, email]) => email)).to.deep.equal([
      'ada@acme.example',
      'max@acme.example',
      'mia@acme.example',
      'tom@acme.example',
      'ola@fund.example',
      'eva@acme.example',
    ]);
    for (const [, email, password] of logins) {
      const response = await fetch(`${url()}/session`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ email, password }),
      });
      expect(await response.json())
        .to.have.property('user')
        .that.includes({ email });
    }
  });

  it('prints lines of curl that log in, read an expense, are denied approving it, and list what may be read', async () => {
    const lines = [...printed.matchAll(/^ {2}(curl .*)$/gm)].map(([, line = '']) => line);
    expect(lines).to.have.length(4);
    const answers = [];
    for (const line of lines) answers.push(await shell(line));
    expect(answers).to.deep.equal([
      { status: '200', body: { user: { id: 3, name: 'Mia', email: 'mia@acme.example' } } },
      {
        status: '200',
        body: {
          id: 1,
          description: 'Train to the customer',
          amountInCents: 120_00,
          status: 'submitted',
          owner: { id: 3, name: 'Mia' },
          organization: { id: 1, name: 'Acme' },
          team: null,
        },
      },
      { status: '403', body: { error: { status: 403, message: 'You may not approve this' } } },
      {
        status: '200',
        body: {
          expenses: [
            {
              id: 2,
              description: 'New laptop',
              amountInCents: 1_800_00,
              status: 'submitted',
              owner: { id: 3, name: 'Mia' },
              organization: { id: 1, name: 'Acme' },
              team: { id: 2, name: 'Platform' },
            },
          ],
          // Her own two, and the two that Open Fund has published.
          total: 4,
          page: 1,
          pages: 4,
        },
      },
    ]);
  });

  it('says on the console why that was denied, and nothing of it to the client', () => {
    expect(printed).to.match(/^DENIED {2}allow\(User 3, "approve", Expense 1\) .*policy\.polar$/m);
    expect(printed).to.match(/^ +\d+ │ {3}expense\.ownerId != user\.id and$/m);
  });
});
