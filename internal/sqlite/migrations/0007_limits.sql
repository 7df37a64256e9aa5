-- The most workspaces of a member are one of several limits now.
UPDATE member SET doc = json_remove(json_set(doc, '$.limits', json_object('workspaces', json_extract(doc, '$.most'))), '$.most')
	WHERE json_type(doc, '$.most') = 'integer';
