import { readFileSync } from 'node:fs';

export const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

interface Block {
  section: string;
  language: string;
  code: string;
}

export const blocks: Block[] = README.split(/^## /m).flatMap(section =>
  [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = '', code = '']) => ({
    section: section.slice(0, section.indexOf('\n')),
    language,
    code,
  })),
);

export const codeOf = (section: string, language = 'ts') =>
  blocks.filter(block => block.section === section && block.language === language).map(({ code }) => code);

export const linesOf = (section: string, language: string) =>
  codeOf(section, language).join('').trim().split('\n');
