import { readdirSync, readFileSync } from 'node:fs';

const ROOT = new URL('../../../', import.meta.url);

/** Paths of README.md and of the pages in docs/, from the root of the project. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(new URL('docs/', ROOT)).map(name => `docs/${name}`),
];

export const textOf = (page: string): string => readFileSync(new URL(page, ROOT), 'utf8');

interface Block {
  page: string;
  section: string;
  language: string;
  code: string;
}

export const blocks: Block[] = PAGES.flatMap(page =>
  textOf(page)
    .split(/^## /m)
    .flatMap(section =>
      [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', code = '']) => ({
        page,
        section: section.slice(0, section.indexOf('\n')),
        language,
        code,
      })),
    ),
);

export const codeOf = (section: string, language = 'ts') =>
  blocks.filter(block => block.section === section && block.language === language).map(({ code }) => code);

export const linesOf = (section: string, language: string) =>
  codeOf(section, language).join('').trim().split('\n');
