//! Queries on a table of four rows, one of which counts three times.

use super::*;

fn table() -> Table {
    let row = |at, name: &str, code: Option<i64>, duration, times| Row {
        values: vec![
            Value::Time(at),
            Value::Text(name.into()),
            code.map_or(Value::Null, Value::Int),
            Value::Int(duration),
        ],
        times,
    };
    Table {
        columns: [("TimeGenerated", Kind::Time), ("Name", Kind::Text), ("Code", Kind::Int), ("Ms", Kind::Int)]
            .map(|(name, kind)| Column::new(name, kind))
            .into(),
        rows: vec![
            row(0, "Blue", Some(200), 80, 3),
            row(59, "Blue", Some(424), 400, 1),
            row(60, "green", Some(408), 300, 1),
            row(119, "GREEN", None, 301, 1),
        ],
    }
}

fn ask(query: &str) -> Result<Vec<Vec<Value>>, Fault> {
    let query = parse(query)?;
    Ok(run(&query, table())?.rows.into_iter().map(|row| row.values).collect())
}

fn count(condition: &str) -> i64 {
    let counted = ask(&format!("T | summarize countif({condition})")).unwrap().remove(0).remove(0);
    let Value::Int(count) = counted else { panic!("{counted:?}") };
    count
}

#[test]
fn rows_are_counted_as_often_as_they_are_there() {
    for (condition, expected) in [
        ("Ms > 0", 6),
        ("Ms > 300", 2),
        ("Ms > 0.5 and Ms >= 300", 3),
        ("Code == 408 or Code == 424 or (Code >= 500 and Code <= 599)", 2),
        ("isnull(Code)", 1),
        ("isnotnull(Code) and not(Code < 400)", 2),
        // Nothing is known of null.
        ("Code != 200", 2),
        ("Name =~ 'green'", 2),
        ("Name == 'green'", 1),
        ("Name !~ \"blue\"", 2),
        ("Name in~ ('green', 'red')", 2),
        ("Name in ('green')", 1),
        ("toint('408') == Code", 1),
        ("TimeGenerated < datetime(1970-01-01T00:01:00Z)", 4),
        ("tolower(Name) == 'blue' // and none", 0),
    ] {
        // A comment ends with its line, and takes the bracket with it.
        if condition.contains("//") {
            assert!(matches!(ask(&format!("T | summarize countif({condition})")), Err(Fault::Syntax(_))));
        } else {
            assert_eq!(count(condition), expected, "{condition}");
        }
    }
}

#[test]
fn groups_have_keys_and_an_order() {
    let query = "T\n| where Ms > 0\n| extend Short = tolower(Name)\n\
                 | summarize N = count(), Slow = countif(Ms > 100) by Start = bin(TimeGenerated, 60s), Short\n| order by Start desc";
    let parsed = parse(query).unwrap();
    let answer = run(&parsed, table()).unwrap();
    let columns: Vec<(&str, &str)> = answer.columns.iter().map(|c| (c.name.as_str(), c.kind.name())).collect();
    assert_eq!(columns, [("Start", "datetime"), ("Short", "string"), ("N", "long"), ("Slow", "long")]);
    let row =
        |at, name: &str, n, slow| vec![Value::Time(at), Value::Text(name.into()), Value::Int(n), Value::Int(slow)];
    assert_eq!(ask(query).unwrap(), [row(60, "green", 2, 2), row(0, "blue", 4, 1)]);
    assert_eq!(ask("T | where Ms > 900 | summarize count()").unwrap(), [[Value::Int(0)]]);
    assert!(ask("T | where Ms > 900 | summarize count() by Name").unwrap().is_empty());
    let shown = answer.shown();
    assert_eq!((&shown["name"], &shown["columns"][0]["type"]), (&"PrimaryResult".into(), &"datetime".into()));
    assert_eq!(shown["rows"][0][0], "1970-01-01T00:01:00Z");
}

#[test]
fn texts_end_where_their_quotes_do() {
    assert_eq!(count(r"Name == 'x\' or Ms > 0 //'"), 0);
    assert_eq!(count(r#"Name == "\u0042lue" and Name == 'Bl\u0075e'"#), 4);
    assert_eq!(count(r"Name == 'a\\' or Ms > 0"), 6);
}

#[test]
fn what_is_none_is_refused() {
    for (query, code) in [
        ("T | where Colour == 1 | summarize count()", "SEM0100"),
        ("T | summarize count() by Colour", "SEM0100"),
        ("T | where Name == 1 | summarize count()", "SEM0064"),
        ("T | where Name in~ (1) | summarize count()", "SEM0064"),
        ("T | where Ms | summarize count()", "SEM0080"),
        ("T | where Ms > 0 and Name | summarize count()", "SEM0080"),
        ("T | summarize countif(Ms)", "SEM0080"),
        ("T | summarize percentile(Ms, 95)", "SEM0260"),
        ("T | summarize dcount(Name)", "SEM0260"),
        ("T | extend X = strcat(Name) | summarize count()", "SEM0260"),
        ("T | extend X = bin(Ms) | summarize count()", "SEM0219"),
    ] {
        assert!(
            matches!(ask(query), Err(Fault::Semantic { code: found, .. }) if found == code),
            "{query}: {:?}",
            ask(query)
        );
    }
    let deep = format!("T | where {}Ms > 0{} | summarize count()", "(".repeat(99), ")".repeat(99));
    for query in [
        "",
        "T",
        "T | take 5",
        "T | where",
        "T | where Ms >",
        "T | where Ms > 0",
        "T | where Name == 'open | summarize count()",
        "T | where Name == 'a\nb' | summarize count()",
        "T | summarize count() by",
        "T || summarize count()",
        "T | summarize count() extra",
        "T | summarize count(); T",
        "T | where Ms > 5parsecs | summarize count()",
        "T | where TimeGenerated > datetime(soon) | summarize count()",
        "T | order Ms | summarize count()",
        "union T | summarize count()",
        "let x = 1; T | summarize count()",
        deep.as_str(),
    ] {
        assert!(matches!(ask(query), Err(Fault::Syntax(_))), "{query}: {:?}", ask(query));
    }
    let unknown = unknown_table(&parse("Rows | where Ms > 0 | summarize count()").unwrap());
    assert_eq!(
        unknown,
        Fault::semantic("SEM0100", "'where' operator: Failed to resolve table or column expression named 'Rows'")
    );
}

#[test]
fn its_times_are_told() {
    let query = parse(
        "T | where TimeGenerated >= datetime(1970-01-01T00:01:00Z) and TimeGenerated < datetime(1970-01-01T00:02:30Z)\n\
         | summarize count() by bin(TimeGenerated, 30s)",
    );
    let query = query.unwrap();
    assert_eq!((query.table(), query.between(), query.granules()), ("T", Some((60, 150)), (vec![60, 150], vec![30])));
    assert_eq!(parse("T | summarize count()").unwrap().between(), None);
}
