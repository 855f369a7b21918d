// The documentation as programs. How its blocks become one is what docs/README.md tells the reader to do with them.
import { readdirSync, readFileSync } from 'node:fs';

const ROOT = new URL('../../../', import.meta.url);

/** Paths of README.md, SECURITY.md and of the pages in docs/, from the root of the project. */
export const PAGES: readonly string[] = [
  'README.md',
  'SECURITY.md',
  ...readdirSync(new URL('docs/', ROOT)).map(name => `docs/${name}`),
];

export const textOf = (page: string): string => readFileSync(new URL(page, ROOT), 'utf8');

export interface Block {
  language: string;
  code: string;
}

/** What stands under one heading of the second order, or in front of the first. */
export interface Section {
  page: string;
  title: string;
  blocks: Block[];
}

export const sections: Section[] = PAGES.flatMap(page =>
  textOf(page)
    .split(/^## /m)
    .map((text, at) => ({
      page,
      title: at === 0 ? '' : text.slice(0, text.indexOf('\n')),
      blocks: [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = '', code = '']) => ({
        language,
        code,
      })),
    })),
);

export function sectionOf(page: string, title: string): Section {
  const found = sections.find(section => section.page === page && section.title === title);
  if (found === undefined) throw new Error(`There is no section "${title}" in ${page}`);
  return found;
}

/** What a section makes, together with what is in front of the first heading of its page. */
export interface Project {
  name: string;
  /** By their names. */
  files: Record<string, string>;
  /** Files that are tests. */
  tests: string[];
  /** Lines of curl, and what they print. */
  requests: { command: string; answer: string | undefined }[];
  /** Texts that are printed. */
  outputs: string[];
  /** Lines of a shell that a reader types and that are not run here. */
  others: string[];
  /** How many results are told by `// =>`. */
  results: number;
}

const FILE = /^(?:\/\/|#) ([\w./-]+\.(?:ts|js|mjs|cjs|polar|json))\n/;
const STATEMENT =
  /^(?:(?:export )?(?:const|let) (\w+)\b.*?;(?: +\/\/[^\n]*)?\n|(?<!\)\n)(?:export )?class (\w+)\b.*?^\}\n)(?=\S|\n|$)/gms;
const ROUTES = /^app\.use\(router\.routes\(\)\)/m;
const ENTITIES = /^registerEntities\(oso\b/m;
const UP_TO_ENTITIES = /^.*^registerEntities\(oso\b.*?;.*?\n/ms;
const LOAD = /^await oso\.loadFiles\(/m;

/** The complete example, with which the pages go on. */
const base = {
  app: fileOf(sectionOf('README.md', 'A complete example'), 'app.ts'),
  policy: fileOf(sectionOf('README.md', 'A complete example'), 'policy.polar'),
};

function fileOf({ blocks, title }: Section, name: string): string {
  const found = blocks.find(({ code }) => FILE.exec(code)?.[1] === name);
  if (found === undefined) throw new Error(`There is no ${name} under "${title}"`);
  return found.code;
}

/** Undefined where there is nothing to run. */
export function projectOf(section: Section): Project | undefined {
  const { page, title } = section;
  const name = `${page.replace(/^docs\/|\.md$/g, '')}/${title.replace(/\W+/g, '-').toLowerCase()}`;
  const project: Project = { name, files: {}, tests: [], requests: [], outputs: [], others: [], results: 0 };
  const common = title === '' ? [] : sectionOf(page, '').blocks;
  const isProgram = ({ language }: Block) => ['ts', 'js', 'polar', 'sh'].includes(language);
  if (!section.blocks.some(isProgram)) return undefined;

  const snippets: string[] = [];
  const rules: string[] = [];
  for (const { language, code } of [...common, ...section.blocks]) {
    const file = FILE.exec(code)?.[1];
    if (language === 'ts' || language === 'js') project.results += code.match(/\/\/ => /g)?.length ?? 0;
    if (file !== undefined) project.files[file] = code;
    else if (language === 'ts') snippets.push(code);
    else if (language === 'polar') rules.push(code);
    else if (language === 'sh') addShell(project, code);
    else if (language === 'json' || language === 'txt') addOutput(project, language, code);
    else throw new Error(`A block under "${title}" of ${page} is of no use here: ${language}\n${code}`);
  }
  const { files } = project;
  project.tests = Object.keys(files).filter(each => /\.(spec|test)\.[cm]?[jt]s$/.test(each));
  const isAlone = files['app.ts'] === undefined && files['main.ts'] !== undefined;
  files['policy.polar'] = [files['policy.polar'] ?? (isAlone ? '' : base.policy), ...rules].join('\n');
  const program = isAlone ? 'main.ts' : 'app.ts';
  files[program] = snippets.reduce(goOn, files[program] ?? base.app);
  for (const each of Object.keys(files)) {
    if (each.endsWith('.ts')) files[each] = withResults(files[each] ?? '');
  }
  return project;
}

/** Puts a snippet where the reader is told to: what is there already is replaced, the rest goes in front of the routes. */
function goOn(program: string, snippet: string): string {
  const imports = snippet.match(/^import .*?;\n/gms) ?? [];
  let rest = snippet.replace(/^import .*?;\n/gms, '');
  let result = program;
  for (const line of imports) if (!result.includes(line)) result = line + result;

  const early: string[] = [];
  const takeEarly = (pattern: RegExp): void => {
    rest = rest.replace(pattern, each => {
      early.push(each);
      return '';
    });
  };
  if (ENTITIES.test(rest) && LOAD.test(result)) {
    // It takes the place of the Oso and the classes that are there.
    takeEarly(UP_TO_ENTITIES);
    result = result.replace(/^oso\.registerClass\(.*\);.*\n/gm, '');
    if (/^const oso\b/m.test(early.join(''))) result = result.replace(/^const oso = .*\n/m, '');
    early.splice(0, early.length, replaceIn(early.join('')));
    return withRest(
      result.replace(/^const koaOso\b/m, found => `${early.join('')}${found}`),
      rest,
    );
  }
  rest = replaceIn(rest);
  if (LOAD.test(result)) {
    takeEarly(/(?<!\)\n)^class \w+\b.*?^\}\n|^oso\.register\w+\(.*?\);.*\n/gms);
    result = result.replace(LOAD, found => early.join('') + found);
  }
  return withRest(result, rest);

  /** Replaces what is in the program by what has the same name in a text, and gives what is left of the text. */
  function replaceIn(text: string): string {
    return text.replace(STATEMENT, (statement: string, constant?: string, className?: string) => {
      const there = [...result.matchAll(STATEMENT)].find(
        ([, otherConstant, otherClass]) =>
          (constant !== undefined && otherConstant === constant) ||
          (className !== undefined && otherClass === className),
      );
      if (there === undefined) return statement;
      result = result.replace(there[0], () => statement);
      return '';
    });
  }
}

function withRest(program: string, rest: string): string {
  if (rest.trim() === '') return program;
  return ROUTES.test(program) ? program.replace(ROUTES, found => `${rest}\n${found}`) : `${program}\n${rest}`;
}

/** Has results that are told by a comment compared: `await oso.isAllowed(…); // => true`. */
function withResults(program: string): string {
  return program.replace(
    /^( *)(const (\w+) = )?(.*); +\/\/ => (.*)$/gm,
    (
      _line,
      indent: string,
      declared: string | undefined,
      name: string,
      expression: string,
      result: string,
    ) => {
      const said = JSON.stringify(result);
      if (declared !== undefined)
        return `${indent}${declared}${expression}; globalThis.docs.says(${said}, ${name});`;
      const printed = /^console\.log\((.*)\)$/.exec(expression)?.[1];
      return `${indent}globalThis.docs.says(${said}, ${printed ?? expression});`;
    },
  );
}

function addShell(project: Project, code: string): void {
  for (const line of code
    .replace(/\\\n\s*/g, '')
    .trim()
    .split('\n')) {
    const [command = '', answer] = line.split(/\s+# /);
    if (command.startsWith('curl ')) project.requests.push({ command, answer });
    else if (command !== '') project.others.push(command);
  }
}

/** JSON answers the lines of curl that tell no answer themselves, a line each; text is printed. */
function addOutput(project: Project, language: string, code: string): void {
  if (language === 'txt') {
    project.outputs.push(code.trim());
    return;
  }
  const unanswered = project.requests.filter(({ answer }) => answer === undefined);
  for (const [at, line] of code.trim().split('\n').entries()) {
    const request = unanswered[at];
    if (request === undefined) throw new Error(`No line of curl is there for ${line}`);
    request.answer = line;
  }
}
