// A browser without a screen: cookies by host, redirects one at a time, forms as they stand on the
// page.

export class Browser {
    constructor() {
        this.cookies = new Map();
    }

    copy() {
        const copy = new Browser();
        copy.cookies = new Map([...this.cookies].map(([host, own]) => [host, new Map(own)]));
        return copy;
    }

    jar(url) {
        // A host's cookies are shared by its ports (RFC 6265 8.5).
        const { hostname } = new URL(url);
        if (!this.cookies.has(hostname)) this.cookies.set(hostname, new Map());
        return this.cookies.get(hostname);
    }

    // One request. `from` is the page that sends it, where there is one.
    async request(url, { form, from, headers = {} } = {}) {
        const jar = this.jar(url);
        const isCrossSite = from && new URL(from).hostname !== new URL(url).hostname;
        const sent = [...jar].filter(([, { sameSite }]) => !form || !isCrossSite || sameSite === 'None');
        const init = {
            redirect: 'manual',
            headers: { accept: 'text/html', cookie: sent.map(([name, { value }]) => `${name}=${value}`).join('; '), ...headers },
        };
        if (form) {
            init.method = 'POST';
            init.body = new URLSearchParams(form);
            if (from) init.headers.origin = new URL(from).origin;
        }
        const response = await fetch(url, init);
        for (const text of response.headers.getSetCookie()) {
            const [pair, ...attributes] = text.split(';').map((part) => part.trim());
            const name = pair.slice(0, pair.indexOf('='));
            const value = pair.slice(pair.indexOf('=') + 1);
            const of = (wanted) => attributes.find((one) => one.toLowerCase().startsWith(`${wanted}=`))?.split('=')[1];
            const isGone = of('max-age') === '0' || new Date(of('expires') ?? '9999-01-01') < new Date();
            if (isGone) jar.delete(name);
            else jar.set(name, { value, sameSite: of('samesite') });
        }
        const location = response.headers.get('location');
        return {
            url,
            status: response.status,
            headers: response.headers,
            location: location && new URL(location, url).href,
            body: await response.text(),
        };
    }

    // Follows redirects up to a URL that begins so, without asking for that one.
    async follow(answer, until) {
        for (let step = 0; step < 20; step += 1) {
            if (!answer.location) return answer;
            if (answer.location.startsWith(until)) return answer;
            answer = await this.request(answer.location);
        }
        throw new Error(`more than 20 redirects after ${answer.url}`);
    }

    // Sends the form of a page, with what is typed.
    async submit(page, typed = {}) {
        const form = formOf(page);
        return this.request(form.action, { form: { ...form.fields, ...typed }, from: page.url });
    }
}

export function formOf(page) {
    const form = page.body.match(/<form[^>]*>/s)?.[0];
    if (!form) throw new Error(`no form at ${page.url}, status ${page.status}: ${page.body.slice(0, 300)}`);
    const fields = {};
    for (const [input] of page.body.matchAll(/<input[^>]*>/gs)) {
        const name = attribute(input, 'name');
        if (name) fields[name] = attribute(input, 'value') ?? '';
    }
    return { action: new URL(attribute(form, 'action') ?? page.url, page.url).href, fields };
}

function attribute(tag, name) {
    const value = tag.match(new RegExp(`\\s${name}="([^"]*)"`, 's'))?.[1];
    const entities = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#x27': "'" };
    return value?.replace(/&([#\w]+);/g, (whole, name) => entities[name] ?? whole);
}
