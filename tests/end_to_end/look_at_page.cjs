// Open a page in a browser without a network, and print what it does, as JSON.
// node look_at_page.cjs CHROMIUM AXE PAGE
const { chromium } = require('playwright-core');
const { pathToFileURL } = require('url');
const [browserPath, axePath, page] = process.argv.slice(2);

async function look(browser, colours, width, checked) {
  // A script cannot be added under the page's own policy.
  const context = await browser.newContext({
    viewport: { width, height: 800 }, colorScheme: colours, offline: true, bypassCSP: checked,
  });
  const tab = await context.newPage();
  const found = { colours, requests: [], console: [], violations: [] };
  const address = pathToFileURL(page).href;
  tab.on('console', message => found.console.push(message.text()));
  tab.on('pageerror', error => found.console.push(String(error)));
  tab.on('dialog', dialog => { found.console.push(dialog.message()); dialog.dismiss(); });
  tab.on('request', request => {
    if (request.url() !== address && !request.url().startsWith('data:')) found.requests.push(request.url());
  });
  await tab.goto(address);
  const cell = tab.locator('.matrix .wrong a').first();
  if (await cell.count()) await cell.click();
  found.width = await tab.evaluate(() => document.documentElement.scrollWidth);
  found.window = width;
  if (checked) {
    await tab.addScriptTag({ path: axePath });
    const result = await tab.evaluate(() => axe.run());
    found.violations = result.violations.map(fault => `${fault.id}: ${fault.nodes[0].html.slice(0, 200)}`);
  }
  await context.close();
  return found;
}

(async () => {
  const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
  const results = [];
  for (const colours of ['light', 'dark'])
    for (const width of [1280, 375])
      for (const checked of [false, true]) results.push(await look(browser, colours, width, checked));
  await browser.close();
  console.log(JSON.stringify(results));
})();
