<?php
// Replace a text in every column of a database, in serialized values too, guid left alone, as WordPress asks:
// php replace.php SOCKET DATABASE OLD NEW [TABLE ...]
[, $socket, $database, $old, $new] = $argv;
$db = new mysqli('localhost', 'root', '', $database, 0, $socket);
$db->set_charset('utf8mb4');

function replaced($value, $old, $new) {
    if (is_string($value)) {
        $inner = @unserialize($value);
        if ($inner !== false || $value === 'b:0;') {
            return serialize(replaced($inner, $old, $new));
        }
        return str_replace($old, $new, $value);
    }
    if (is_array($value)) {
        return array_map(fn($each) => replaced($each, $old, $new), $value);
    }
    if (is_object($value)) {
        foreach (get_object_vars($value) as $name => $each) {
            $value->$name = replaced($each, $old, $new);
        }
    }
    return $value;
}

$tables = array_slice($argv, 5) ?: array_column($db->query('SHOW TABLES')->fetch_all(), 0);
foreach ($tables as $table) {
    $key = $db->query("SHOW KEYS FROM `$table` WHERE Key_name = 'PRIMARY'")->fetch_assoc()['Column_name'] ?? null;
    if ($key === null) {
        continue;
    }
    foreach ($db->query("SELECT * FROM `$table`")->fetch_all(MYSQLI_ASSOC) as $row) {
        foreach ($row as $column => $value) {
            if ($column === 'guid' || $column === $key || !is_string($value)) {
                continue;
            }
            $changed = replaced($value, $old, $new);
            if ($changed !== $value) {
                $update = $db->prepare("UPDATE `$table` SET `$column` = ? WHERE `$key` = ?");
                $update->bind_param('ss', $changed, $row[$key]);
                $update->execute();
            }
        }
    }
}
