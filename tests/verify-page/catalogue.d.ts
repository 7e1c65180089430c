// What the page's assembly puts before the scripts.
declare const CATALOGUE: Catalogue;
