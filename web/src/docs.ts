// The page /docs: what /api/v1/openapi.json says, for people. Every call is a <details>, so the
// browser does keyboard, focus and find-in-page; the address names the call that is open.
import {
  curlLine, typeText, type Answer, type Content, type Document, type Operation, type Schema,
} from './openapi';

type Child = Node | string;

const find = <T extends HTMLElement>(selector: string) => document.querySelector<T>(selector)!;

function make(tag: string, attributes: Record<string, string> = {}, ...children: Child[]) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const typeLink = (name: string) => make('a', { href: `#type-${name}` }, name);
const typeNodes = (schema: Schema) => typeText<Child>(schema, typeLink);

function contentNodes(content: Content): Child[] {
  return Object.entries(content).map(([media, { schema }]) => make('div', { class: 'content' },
    make('span', { class: 'media' }, media), make('code', {}, ...typeNodes(schema))));
}

function table(caption: string, heads: string[], rows: Child[][][]): Child[] {
  if (!rows.length) return [];
  const head = make('tr', {}, ...heads.map((text) => make('th', { scope: 'col' }, text)));
  const body = rows.map(([first, ...cells]) => make('tr', {},
    make('th', { scope: 'row' }, ...first ?? []),
    ...cells.map((cell) => make('td', {}, ...cell))));
  return [make('div', { class: 'wide' }, make('table', {}, make('caption', {}, caption),
    make('thead', {}, head), make('tbody', {}, ...body)))];
}

function credentials({ security, 'x-rights': rights }: Operation): string {
  if (!security.length) return 'Open to everybody.';
  if (security.some((one) => !Object.keys(one).length)) return 'May need credentials.';
  const right = rights.length === 1 ? 'the right' : 'the rights';
  return `Needs credentials with ${right} ${rights.join(', ')}.`;
}

function curl(line: string): HTMLElement {
  const button = make('button', { type: 'button' }, 'Copy') as HTMLButtonElement;
  // Without TLS the clipboard is open to pages of this very machine only.
  button.hidden = !navigator.clipboard;
  button.addEventListener('click', async () => {
    const done = await navigator.clipboard.writeText(line).then(() => true, () => false);
    button.textContent = done ? 'Copied' : 'Not copied';
    setTimeout(() => (button.textContent = 'Copy'), 1500);
  });
  return make('div', { class: 'curl' }, make('code', {}, line), button);
}

class Call {
  readonly root: HTMLDetailsElement;
  readonly #text: string;

  constructor(
    readonly doc: Document, readonly path: string, readonly method: string,
    readonly operation: Operation,
  ) {
    const { operationId, summary, description = '' } = operation;
    const name = operation.parameters.map((one) => one.name).join(' ');
    this.#text = [method, path, summary, description, name].join(' ').toLowerCase();
    this.root = make('details', { id: operationId, class: 'call' },
      make('summary', {},
        make('span', { class: 'method', 'data-method': method }, method.toUpperCase()),
        make('code', { class: 'path' }, path), make('span', { class: 'what' }, summary)),
    ) as HTMLDetailsElement;
    this.root.addEventListener('toggle', () => this.#fill(), { once: true });
  }

  matches(words: string[]): boolean {
    return words.every((word) => this.#text.includes(word));
  }

  #fill(): void {
    const { doc, operation } = this;
    const answers = Object.entries(operation.responses).map(([status, one]): Child[][] => {
      const answer: Answer = one.$ref
        ? doc.components.responses[one.$ref.slice(one.$ref.lastIndexOf('/') + 1)] ?? {} : one;
      return [[status], [answer.description ?? ''], contentNodes(answer.content ?? {})];
    });
    const parameters = operation.parameters.map((one): Child[][] => [
      [make('code', {}, one.name), one.required ? '' : '?'], [one.in],
      [make('code', {}, ...typeNodes(one.schema))], [one.description ?? '']]);
    const body = operation.requestBody;
    this.root.append(make('div', { class: 'inside' },
      make('p', {}, [operation.description, credentials(operation)].filter(Boolean).join(' ')),
      ...table('Parameters', ['Name', 'In', 'Type', 'Meaning'], parameters),
      ...body ? [make('h4', {}, 'Body'), ...contentNodes(body.content)] : [],
      ...table('Answers', ['Status', 'Meaning', 'Content'], answers),
      curl(curlLine(doc, location.origin, this.path, this.method, operation))));
  }
}

class Page {
  readonly #search = find<HTMLInputElement>('#search');
  readonly #groups: { root: HTMLElement; link: HTMLElement; calls: Call[] }[] = [];

  constructor(readonly doc: Document) {
    find('#version').textContent = doc.info.version;
    find('#about').textContent = doc.info.description;
    for (const { name, description } of doc.tags) this.#addGroup(name, description);
    this.#addTypes();
    this.#search.addEventListener('input', () => this.#filter());
    window.addEventListener('hashchange', () => this.#openFromAddress());
    this.#filter();
    this.#openFromAddress();
  }

  #addGroup(name: string, description: string): void {
    const calls = Object.entries(this.doc.paths).flatMap(([path, item]) =>
      Object.entries(item).filter(([, operation]) => operation.tags.includes(name))
        .map(([method, operation]) => new Call(this.doc, path, method, operation)));
    const id = `group-${name.toLowerCase().replace(/\W+/g, '-')}`;
    const root = make('section', { 'aria-labelledby': id },
      make('h2', { id }, name), make('p', { class: 'hint' }, description),
      ...calls.map((call) => call.root));
    const link = make('a', { href: `#${id}` }, name);
    find('#groups').append(root);
    find('#contents').append(link);
    this.#groups.push({ root, link, calls });
  }

  #addTypes(): void {
    const section = find('#types');
    for (const [name, schema] of Object.entries(this.doc.components.schemas))
      section.querySelector('dl')!.append(
        make('dt', { id: `type-${name}` }, name),
        make('dd', {}, make('p', {}, schema.description ?? ''),
          make('code', {}, ...typeNodes(schema))));
    section.hidden = false;
    find('#contents').append(make('a', { href: '#types-title' }, 'Types'));
  }

  #filter(): void {
    const words = this.#search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    let all = 0;
    for (const { root, link, calls } of this.#groups) {
      let any = false;
      for (const call of calls) {
        call.root.hidden = !call.matches(words);
        any ||= !call.root.hidden;
        shown += call.root.hidden ? 0 : 1;
      }
      all += calls.length;
      root.hidden = link.hidden = !any;
    }
    find('#found').textContent = words.length ? `${shown} of ${all} calls` : `${all} calls`;
  }

  #openFromAddress(): void {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target?.closest('[hidden]')) {
      this.#search.value = '';
      this.#filter();
    }
    if (target instanceof HTMLDetailsElement) target.open = true;
    target?.scrollIntoView();
  }
}

async function start(): Promise<void> {
  try {
    const answer = await fetch('/api/v1/openapi.json');
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    new Page(await answer.json() as Document);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    find('#found').textContent = `The document did not come: ${reason}`;
  }
}

void start();
