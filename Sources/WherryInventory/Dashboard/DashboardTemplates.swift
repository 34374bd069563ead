/// The dashboard's HTML (Mustache), style and script, in the binary: there is nothing to build or to install.
enum DashboardTemplates {
  static let page = """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Wherry</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/dashboard.css">
    <script src="/dashboard.js" defer></script>
    </head>
    <body>
    <header>
    <h1>Wherry</h1>
    <span id="live" title="Whether this page follows the fleet">connecting</span>
    <form method="post" action="/logout"><button>Log out</button></form>
    </header>
    <main id="fleet">
    {{> fleet}}
    </main>
    </body>
    </html>
    """

  static let fleet = """
    <section class="cards" aria-label="Fleet">
    {{#cards}}<div class="card {{tone}}"><strong>{{value}}</strong><span>{{label}}</span></div>
    {{/cards}}
    </section>

    <section>
    <h2>Devices</h2>
    {{#hasDevices}}
    <div class="scroll"><table id="devices">
    <thead><tr><th>Device</th><th>Platform</th><th>Groups</th><th>Deployment</th>
    {{#columns}}<th>{{.}}</th>{{/columns}}</tr></thead>
    <tbody>
    {{#devices}}
    <tr data-device="{{name}}">
    <th scope="row"><span class="dot {{presence}}" title="{{presence}}"></span>{{name}}<small>{{seen}}</small></th>
    <td>{{platform}}</td>
    <td>{{groups}}</td>
    <td>{{#status}}<span class="chip {{tone}}">{{text}}</span>{{/status}}<small>generation {{generation}}</small>\
    {{#waits}}<small class="waits">{{.}}</small>{{/waits}}\
    {{#transfers}}<small class="transfer">{{label}} \
    <progress max="{{total}}" value="{{done}}"></progress> {{text}}</small>\
    {{/transfers}}</td>
    {{#cells}}<td data-component="{{component}}">{{#state}}<span class="chip {{tone}}">{{text}}</span><small>\
    {{version}}{{#local}} · local{{/local}}{{#restarts}} · {{.}} restarts{{/restarts}}</small>{{/state}}</td>{{/cells}}
    </tr>
    {{/devices}}
    </tbody>
    </table></div>
    {{#hasMore}}<p class="empty">and {{more}} more: <code>wherry device list</code></p>{{/hasMore}}
    {{/hasDevices}}
    {{^hasDevices}}<p class="empty">No device yet. <code>wherry claim create</code> makes a claim for one.</p>\
    {{/hasDevices}}
    </section>

    <section>
    <h2>Deployments</h2>
    {{#hasDeployments}}
    <div class="deployments">
    {{#deployments}}
    <article data-deployment="{{id}}">
    <h3>{{id}} · {{target}} <span class="chip {{tone}}">{{state}}</span></h3>
    <p class="components">{{#components}}<code>{{.}}</code> {{/components}}</p>
    {{#reason}}<p class="reason">{{.}}</p>{{/reason}}
    <ol class="waves">
    {{#waves}}
    <li><span>Wave {{number}}</span>
    <svg viewBox="0 0 {{size}} 1" preserveAspectRatio="none" role="img" aria-label="{{text}}">\
    <rect class="good" x="0" y="0" width="{{committed}}" height="1"/>\
    <rect class="bad" x="{{committed}}" y="0" width="{{failed}}" height="1"/>\
    <rect class="busy" x="{{done}}" y="0" width="{{busy}}" height="1"/></svg>
    <small>{{text}}</small></li>
    {{/waves}}
    </ol>
    <small>created {{created}}{{#finished}} · finished {{.}}{{/finished}}</small>
    </article>
    {{/deployments}}
    </div>
    {{/hasDeployments}}
    {{^hasDeployments}}<p class="empty">No deployment yet. <code>wherry deploy --group GROUP NAME=VERSION</code>\
    </p>{{/hasDeployments}}
    </section>

    {{#hasFailures}}
    <section>
    <h2>Failures</h2>
    {{#failures}}
    <article class="failure" data-device="{{device}}">
    <h3><span class="chip bad">{{class}}</span> {{device}}{{#component}} · {{.}}{{/component}}
    <code>{{code}}</code></h3>
    <p>{{message}}</p>
    {{#remedy}}<p class="remedy">{{.}}</p>{{/remedy}}
    {{#log}}<pre>{{.}}</pre>{{/log}}
    </article>
    {{/failures}}
    {{#hasMoreFailures}}<p class="empty">and {{failuresMore}} more devices with failures: \
    <code>wherry device list</code></p>{{/hasMoreFailures}}
    </section>
    {{/hasFailures}}
    """

  static let login = """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Wherry · log in</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/dashboard.css">
    </head>
    <body class="login">
    <form method="post" action="/login">
    <h1>Wherry</h1>
    {{#refused}}<p class="reason" role="alert">{{.}}</p>{{/refused}}
    <label>Operator token
    <input name="token" type="password" autocomplete="current-password" required autofocus></label>
    <button>Log in</button>
    </form>
    </body>
    </html>
    """

  /// Follows the fleet: an event says that something changed, the fragment says what it is now.
  static let script = """
    const fleet = document.getElementById("fleet");
    const live = document.getElementById("live");
    let busy = false, again = false;
    async function refresh() {
      if (busy) { again = true; return; }
      busy = true;
      try {
        const answer = await fetch("/fragment");
        if (answer.status === 401) location.href = "/login";
        if (answer.ok) fleet.innerHTML = await answer.text();
      } catch {}
      busy = false;
      if (again) { again = false; refresh(); }
    }
    const events = new EventSource("/events");
    events.onopen = () => { live.textContent = "live"; live.className = "on"; refresh(); };
    events.onmessage = refresh;
    events.onerror = () => { live.textContent = "reconnecting"; live.className = ""; };

    """

  static let style = """
    :root { --back: #f6f7f9; --paper: #fff; --ink: #1c2530; --soft: #637083; --line: #dde2e8; --good: #1a7f4b;
      --bad: #c22f2f; --busy: #b26a00; --idle: #6b7684; --accent: #1f5fbf; }
    @media (prefers-color-scheme: dark) { :root { --back: #12161b; --paper: #1a2027; --ink: #e4e9ef; --soft: #93a0b0;
      --line: #2c353f; --good: #4cc38a; --bad: #ff7b72; --busy: #e3a23c; --idle: #8b97a5; --accent: #79aef5; } }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
    header { display: flex; align-items: center; gap: 1rem; padding: .7rem 1.5rem; background: var(--paper);
      border-bottom: 1px solid var(--line); position: sticky; top: 0; z-index: 1; }
    header h1 { font-size: 1.15rem; margin: 0; letter-spacing: .02em; }
    header form { margin-left: auto; }
    #live { color: var(--soft); font-size: .8rem; }
    #live::before { content: "●"; margin-right: .35em; color: var(--idle); }
    #live.on::before { color: var(--good); }
    main { max-width: 1280px; margin: 0 auto; padding: 1.2rem 1.5rem 3rem; }
    h2 { font-size: 1rem; margin: 1.8rem 0 .6rem; }
    h3 { font-size: .95rem; margin: 0 0 .4rem; }
    small { color: var(--soft); font-size: .8rem; }
    button { font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: 6px;
      padding: .25rem .7rem; cursor: pointer; }
    .cards { display: flex; flex-wrap: wrap; gap: .8rem; }
    .card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: .7rem 1.1rem;
      min-width: 8rem; }
    .card strong { display: block; font-size: 1.7rem; font-variant-numeric: tabular-nums; line-height: 1.2; }
    .card span { color: var(--soft); font-size: .85rem; }
    .card.good strong { color: var(--good); } .card.bad strong { color: var(--bad); }
    .card.busy strong { color: var(--busy); }
    .scroll { overflow-x: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
    table { border-collapse: collapse; width: 100%; }
    th, td { text-align: left; padding: .55rem .9rem; border-bottom: 1px solid var(--line); vertical-align: top;
      white-space: nowrap; font-weight: normal; }
    thead th { color: var(--soft); font-size: .8rem; }
    tbody th { font-weight: 600; }
    tbody tr:last-child > * { border-bottom: 0; }
    td small, th small { display: block; font-weight: normal; }
    .dot { display: inline-block; width: .6em; height: .6em; border-radius: 50%; margin-right: .5em;
      background: var(--idle); }
    .dot.online { background: var(--good); }
    .chip { display: inline-block; border: 1px solid currentColor; border-radius: 99px; padding: 0 .6em;
      font-size: .78rem; font-weight: 600; color: var(--idle); }
    .chip.good { color: var(--good); } .chip.bad { color: var(--bad); } .chip.busy { color: var(--busy); }
    .deployments { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); }
    article { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1rem; }
    .components { margin: 0 0 .4rem; }
    code { font: .85em ui-monospace, monospace; background: var(--back); border-radius: 4px; padding: .1em .35em; }
    .reason { color: var(--bad); margin: .2rem 0 .5rem; }
    .remedy { color: var(--soft); margin: .2rem 0; }
    .waves { list-style: none; margin: .4rem 0; padding: 0; display: grid; gap: .3rem; }
    .waves li { display: grid; grid-template-columns: 4.5rem 1fr auto; align-items: center; gap: .6rem;
      font-size: .85rem; }
    .waves svg { width: 100%; height: .6rem; background: var(--line); border-radius: 4px; display: block; }
    rect.good { fill: var(--good); } rect.bad { fill: var(--bad); } rect.busy { fill: var(--busy); }
    .failure { margin-bottom: .8rem; border-left: 3px solid var(--bad); }
    .failure p { margin: .2rem 0; }
    pre { background: var(--back); border-radius: 6px; padding: .6rem .8rem; overflow-x: auto; margin: .5rem 0 0;
      font: .82rem/1.5 ui-monospace, monospace; }
    .empty { color: var(--soft); }
    .login { display: grid; place-items: center; min-height: 100vh; }
    .login form { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 2rem;
      width: min(24rem, 90vw); display: grid; gap: 1rem; }
    .login h1 { margin: 0; } .login label { display: grid; gap: .3rem; font-size: .85rem; color: var(--soft); }
    .login input { font: inherit; padding: .5rem .7rem; border: 1px solid var(--line); border-radius: 6px;
      background: var(--back); color: var(--ink); }
    .login button { background: var(--accent); border-color: var(--accent); color: var(--paper); padding: .5rem; }

    """
}
